package accounts

import (
	"encoding/hex"
	"testing"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Digests are stored for ever: a request that is repeated after an update must have the digest that it had before, and one with other controls must not.
// The values are computed by other means.
func TestDigestsOfSpendingControlsNeverChange(t *testing.T) {
	t.Parallel()
	pounds := func(minor int64) *typev1.Money { return &typev1.Money{CurrencyCode: "GBP", MinorUnits: minor} }
	for name, row := range map[string]struct {
		controls *typev1.SpendingControls
		want     string
	}{
		"none":            {nil, "2cd564ec784c93d6d320c849ab4af43b"},
		"empty":           {&typev1.SpendingControls{}, "2cd564ec784c93d6d320c849ab4af43b"},
		"50 pounds a day": {&typev1.SpendingControls{Limits: []*typev1.SpendingLimit{{Period: &typev1.SpendingLimit_Window{Window: typev1.Window_WINDOW_DAY}, MaxAmount: pounds(50_00)}}}, "acaec1a58a5545c0cfa3208c8bcd8bd9"},
		"all": {&typev1.SpendingControls{MaxAmount: pounds(20_00), Limits: []*typev1.SpendingLimit{{Period: &typev1.SpendingLimit_TrailingHours{TrailingHours: 48}, MaxCount: 3}}, AllowedMccs: []string{"5812"},
			BlockedCountries: []string{"FR", "DE"}, LockedMerchantId: "shop", LockToFirstMerchant: true, SingleUse: true}, "cbf26199e16320badf5aed3ebe40f5d0"},
	} {
		if got := hex.EncodeToString(digestControls(row.controls).Text("card").Sum()); got != row.want {
			t.Errorf("%s: digest %s, want %s", name, got, row.want)
		}
	}
}
