package account

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// ControlsBound is the most bytes that the controls of an account, or of one card, may take: every event carries them for all cards that the account ever had.
const ControlsBound = 4096

// SetSpendingControls sets the spending controls of the account or of one card, all of them at once.
type SetSpendingControls struct {
	Header
	// CardID of the card; empty for the account's own controls.
	CardID string
	// Controls from now on; none where nil or empty. Their money is in the account's currency.
	Controls *typev1.SpendingControls
}

// Kind is COMMAND_KIND_SET_SPENDING_CONTROLS.
func (c *SetSpendingControls) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_SET_SPENDING_CONTROLS
}

func (c *SetSpendingControls) decide(next *eventsv1.AccountSnapshot, _ *Register, event *eventsv1.AccountEvent) error {
	if err := notClosed(next, event); err != nil {
		return err
	}
	if err := checkControls(c.Controls, next.GetCreditLimit().GetCurrencyCode()); err != nil {
		return err
	}
	controls := c.Controls
	if proto.Size(controls) == 0 {
		controls = nil
	}
	event.Fact = &eventsv1.AccountEvent_SpendingControlsSet{SpendingControlsSet: &eventsv1.SpendingControlsSet{CardId: c.CardID}}
	if c.CardID == "" {
		next.Controls = controls
		return nil
	}
	changed, err := usableCard(next, c.CardID, event)
	if err != nil {
		return err
	}
	if by := replacedBy(next, c.CardID); by != "" {
		return failure.New(failure.Precondition, "CARD_REPLACED", "card %s was replaced by card %s, which has its controls now; set them there", c.CardID, by)
	}
	changed.Controls = controls
	return nil
}

// checkControls returns an error when controls are in another currency, contradict each other, or are too many.
func checkControls(controls *typev1.SpendingControls, currency string) error {
	if amount := controls.GetMaxAmount(); amount != nil && amount.GetCurrencyCode() != currency {
		return failure.InvalidField("controls.max_amount.currency_code", "the account is kept in %s", currency)
	}
	for i, limit := range controls.GetLimits() {
		if amount := limit.GetMaxAmount(); amount != nil && amount.GetCurrencyCode() != currency {
			return failure.InvalidField(fmt.Sprintf("controls.limits[%d].max_amount.currency_code", i), "the account is kept in %s", currency)
		}
	}
	if controls.GetLockToFirstMerchant() && controls.GetLockedMerchantId() != "" {
		return failure.InvalidField("controls.lock_to_first_merchant", "contradicts locked_merchant_id, which names the merchant already; give one of the two")
	}
	if i := both(controls.GetBlockedMccs(), controls.GetAllowedMccs()); i >= 0 {
		return failure.InvalidField(fmt.Sprintf("controls.blocked_mccs[%d]", i), "is in allowed_mccs too; give it in one of the two")
	}
	if i := both(controls.GetBlockedCountries(), controls.GetAllowedCountries()); i >= 0 {
		return failure.InvalidField(fmt.Sprintf("controls.blocked_countries[%d]", i), "is in allowed_countries too; give it in one of the two")
	}
	if size := proto.Size(controls); size > ControlsBound {
		return failure.InvalidField("controls", "take %d bytes, the most is %d; allow a few instead of blocking many", size, ControlsBound)
	}
	return nil
}

// both returns the place of the first that is in the other list, too; -1 where none is.
func both(blocked, allowed []string) int {
	return slices.IndexFunc(blocked, func(code string) bool { return slices.Contains(allowed, code) })
}
