package accounts

import (
	"context"
	"fmt"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/accounts/account"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// SetSpendingControls sets the spending controls of the account or of one of its cards.
func (s *Service) SetSpendingControls(ctx context.Context, r *accountsv1.SetSpendingControlsRequest) (*accountsv1.SetSpendingControlsResponse, error) {
	if err := checkCountries(r.GetControls()); err != nil {
		return nil, err
	}
	content := digestControls(r.GetControls()).Text(r.GetCardId())
	changed, stored, err := s.submit(ctx, &account.SetSpendingControls{Header: header(ctx, r, content), CardID: r.GetCardId(), Controls: r.GetControls()})
	return &accountsv1.SetSpendingControlsResponse{Account: changed, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// checkCountries returns an error when a country of the controls is none: one that was mistyped would let all through, or nothing.
func checkCountries(controls *typev1.SpendingControls) error {
	for _, list := range []struct {
		name  string
		codes []string
	}{{"allowed_countries", controls.GetAllowedCountries()}, {"blocked_countries", controls.GetBlockedCountries()}} {
		for i, code := range list.codes {
			if !isCountry(code) {
				return failure.InvalidField(fmt.Sprintf("controls.%s[%d]", list.name, i), "is not a country of ISO 3166-1")
			}
		}
	}
	return nil
}

// digestControls begins the digest of a request with its controls. None and empty ones are the same.
func digestControls(c *typev1.SpendingControls) command.Digest {
	digest := command.NewDigest()
	bound := func(m *typev1.Money) { digest = digest.Number(m.GetMinorUnits()).Text(m.GetCurrencyCode()) } // absent is 0: no bound is
	bound(c.GetMaxAmount())
	digest = digest.Number(int64(len(c.GetLimits())))
	for _, limit := range c.GetLimits() {
		digest = digest.Number(int64(limit.GetWindow())).Number(int64(limit.GetTrailingHours())).Number(int64(limit.GetMaxCount()))
		bound(limit.GetMaxAmount())
	}
	for _, list := range [][]string{c.GetAllowedMccs(), c.GetBlockedMccs(), c.GetAllowedCountries(), c.GetBlockedCountries()} {
		digest = digest.Number(int64(len(list))).Text(list...)
	}
	return digest.Text(c.GetLockedMerchantId()).Flag(c.GetLockToFirstMerchant()).Flag(c.GetSingleUse())
}
