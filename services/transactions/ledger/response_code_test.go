package ledger

import (
	"strings"
	"testing"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// The table of the contract (design/api.md, "Decline reasons"). Clients rely on it: it may grow and never change.
func TestEveryDeclineReasonHasItsResponseCode(t *testing.T) {
	t.Parallel()
	contract := map[string]string{}
	for pair := range strings.SplitSeq(`UNKNOWN_CARD 14, CARD_NOT_ACTIVATED 78, CARD_PAUSED 62, CARD_LOST 41, CARD_STOLEN 43, CARD_CLOSED 14, CARD_EXPIRED 54,
		ACCOUNT_SUSPENDED 62, ACCOUNT_CHARGED_OFF 62, ACCOUNT_CLOSED 46, INSUFFICIENT_CREDIT 51, AMOUNT_LIMIT_EXCEEDED 61, COUNT_LIMIT_EXCEEDED 65,
		MCC_BLOCKED 57, MERCHANT_BLOCKED 57, COUNTRY_BLOCKED 62, SINGLE_USE_CARD_USED 57, CURRENCY_NOT_SUPPORTED 57, STALE_MESSAGE 30`, ",") {
		reason, code, _ := strings.Cut(strings.TrimSpace(pair), " ")
		contract["DECLINE_REASON_"+reason] = code
	}
	for number, name := range typev1.DeclineReason_name {
		if got, want := ResponseCode(typev1.DeclineReason(number)), contract[name]; got != want || (number != 0 && want == "") {
			t.Errorf("%s has DE39 %q, the contract says %q", name, got, want)
		}
		delete(contract, name)
	}
	for missing := range contract {
		t.Errorf("%s is in the contract only", missing)
	}
}
