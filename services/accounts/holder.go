package accounts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"google.golang.org/protobuf/proto"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/vault"
)

// checkCountry returns an error when the holder's country is none: rules may look at it.
func checkCountry(holder *accountsv1.Holder) error {
	if country := holder.GetAddress().GetCountryCode(); country != "" && !isCountry(country) {
		return failure.InvalidField("holder.address.country_code", "is not a country of ISO 3166-1")
	}
	return nil
}

func isCountry(code string) bool {
	region, err := language.ParseRegion(code)
	return err == nil && region.IsCountry() && region.Canonicalize() == region
}

// sealHolder encrypts a holder.
func sealHolder(key *vault.DataKey, holder *accountsv1.Holder) ([]byte, error) {
	plain, err := proto.Marshal(holder)
	if err != nil {
		return nil, err
	}
	return key.Seal(plain)
}

// holderOf decrypts the holder of an account; nil when the data key that sealed it was deleted.
func (s *Service) holderOf(ctx context.Context, accountID string, snapshot *eventsv1.AccountSnapshot) (*accountsv1.Holder, error) {
	key, err := s.keys.Get(ctx, accountID)
	if errors.Is(err, vault.ErrForgotten) {
		return nil, nil
	}
	if err != nil {
		return nil, keysFailure(err)
	}
	holder := &accountsv1.Holder{}
	if plain, err := key.Open(snapshot.GetSealedHolder()); err == nil && proto.Unmarshal(plain, holder) == nil {
		return holder, nil
	}
	// Sealed with a key that was deleted since: the account itself must stay readable.
	s.options.Logger.WarnContext(ctx, "the holder of an account cannot be decrypted", slog.String("account", accountID))
	return nil, nil
}

// keysFailure says that the data keys could not be reached.
func keysFailure(err error) error {
	return failure.New(failure.Unavailable, "LOG_UNAVAILABLE", "the data keys cannot be reached just now; try again with the same id").Because(err)
}

// digestHolder begins a digest with a holder's details, keyed by the account's data key.
func digestHolder(key *vault.DataKey, holder *accountsv1.Holder) (command.Digest, error) {
	digestKey, err := key.DigestKey()
	if err != nil {
		return command.Digest{}, err
	}
	address := holder.GetAddress()
	return command.NewKeyedDigest(digestKey).
		Text(holder.GetFullName(), address.GetStreet(), address.GetPostalCode(), address.GetCountryCode(), holder.GetPhoneNumber(), holder.GetEmail()), nil
}

// holderPaths are the paths of update_mask, each with what it takes over.
var holderPaths = map[string]func(into, from *accountsv1.Holder){
	"full_name":            func(into, from *accountsv1.Holder) { into.FullName = from.GetFullName() },
	"address":              func(into, from *accountsv1.Holder) { into.Address = from.GetAddress() },
	"address.street":       func(into, from *accountsv1.Holder) { into.Address.Street = from.GetAddress().GetStreet() },
	"address.postal_code":  func(into, from *accountsv1.Holder) { into.Address.PostalCode = from.GetAddress().GetPostalCode() },
	"address.country_code": func(into, from *accountsv1.Holder) { into.Address.CountryCode = from.GetAddress().GetCountryCode() },
	"phone_number":         func(into, from *accountsv1.Holder) { into.PhoneNumber = from.GetPhoneNumber() },
	"email":                func(into, from *accountsv1.Holder) { into.Email = from.GetEmail() },
}

// mergeHolder takes the masked fields of an update over.
func mergeHolder(holder, update *accountsv1.Holder, paths []string) (*accountsv1.Holder, error) {
	merged := &accountsv1.Holder{}
	proto.Merge(merged, holder)
	if merged.GetAddress() == nil {
		merged.Address = &accountsv1.Address{}
	}
	if len(paths) == 0 {
		return nil, failure.InvalidField("update_mask", "must name at least one field of the holder")
	}
	for _, path := range slices.Compact(slices.Sorted(slices.Values(paths))) { // a whole address comes before its parts
		take, known := holderPaths[path]
		if !known {
			return nil, failure.InvalidField("update_mask", "does not know the path; it takes full_name, address, address.street, address.postal_code, address.country_code, phone_number, email")
		}
		take(merged, update)
		if merged.GetAddress() == nil {
			merged.Address = &accountsv1.Address{}
		}
	}
	if holder.GetAddress() == nil && !slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, "address") }) {
		merged.Address = nil // there was none, and none was given
	}
	return merged, nil
}
