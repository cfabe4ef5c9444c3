package console

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// controlsFields are the spending controls that can be tried here: the api has more. They begin with what is set now on the card that is offered first.
func controlsFields(t *trying) []*field {
	on := &field{Name: "card_id", Label: "Of", Kind: kindSelect}
	set := t.account.GetControls()
	for _, one := range t.account.GetCards() {
		on.Options = append(on.Options, cardChoice(one, "Card "))
		if on.Value == "" || one.GetCardId() == t.of {
			on.Value, set = one.GetCardId(), one.GetControls()
		}
	}
	on.Options = append(on.Options, choice{Value: "", Label: "The account, for all its cards"})
	most := func(name, label string, amount *typev1.Money) *field {
		one := &field{Name: name, Label: label, Kind: kindMoney, Currency: t.currency(), Optional: true}
		if amount != nil {
			one.Value = plainMinor(amount.GetMinorUnits(), t.currency())
		}
		return one
	}
	day := dayLimit(set)
	times := &field{Name: "day_count", Label: "Most purchases a day", Kind: kindText, Optional: true, Length: 6}
	if day.GetMaxCount() > 0 {
		times.Value = strconv.Itoa(int(day.GetMaxCount()))
	}
	return []*field{
		idField("request_id", "ctl"), on,
		most("controls.max_amount", "Most for one purchase", set.GetMaxAmount()),
		most("day_amount", "Most a day", day.GetMaxAmount()), times,
		{Name: "controls.blocked_mccs", Label: "Category that is not allowed", Kind: kindCategory, Optional: true, Length: 120, Value: first(set.GetBlockedMccs())},
		{Name: "controls.allowed_countries", Label: "Countries that are allowed", Kind: kindText, Optional: true, Length: 60,
			Value: strings.Join(set.GetAllowedCountries(), ", "), Hint: "Such as GB, FR. Empty: all."},
		{Name: "controls.single_use", Label: "For one purchase only", Kind: kindCheck, Value: checked(set.GetSingleUse())},
	}
}

// dayLimit returns the limit for a calendar day; nil where there is none.
func dayLimit(set *typev1.SpendingControls) *typev1.SpendingLimit {
	for _, limit := range set.GetLimits() {
		if limit.GetWindow() == typev1.Window_WINDOW_DAY {
			return limit
		}
	}
	return nil
}

func first(of []string) string {
	if len(of) == 0 {
		return ""
	}
	return of[0]
}

func checked(on bool) string {
	if on {
		return "on"
	}
	return ""
}

func controlsRequest(accountID string, f *form) proto.Message {
	controls := &typev1.SpendingControls{MaxAmount: f.money("controls.max_amount"), SingleUse: f.named("controls.single_use").On()}
	day := &typev1.SpendingLimit{Period: &typev1.SpendingLimit_Window{Window: typev1.Window_WINDOW_DAY}, MaxAmount: f.money("day_amount")}
	if typed := f.text("day_count"); typed != "" {
		times, err := strconv.ParseInt(typed, 10, 32)
		if err != nil || times < 1 {
			f.named("day_count").Error = "It is a whole number, 1 or more."
		}
		day.MaxCount = int32(times)
	}
	if day.GetMaxAmount() != nil || day.GetMaxCount() > 0 {
		controls.Limits = append(controls.Limits, day)
	}
	if mcc := codeOf(f.text("controls.blocked_mccs")); mcc != "" {
		controls.BlockedMccs = []string{mcc}
	}
	controls.AllowedCountries = strings.FieldsFunc(strings.ToUpper(f.text("controls.allowed_countries")), func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
	return &accountsv1.SetSpendingControlsRequest{AccountId: accountID, CardId: f.text("card_id"), Controls: controls, RequestId: f.text("request_id")}
}

// controlsWords says what spending controls allow, each in a few words; nothing where there are none.
func (c *Console) controlsWords(set *typev1.SpendingControls) (said []string) {
	if set.GetMaxAmount() != nil {
		said = append(said, "up to "+formatMoney(set.GetMaxAmount())+" for one purchase")
	}
	for _, limit := range set.GetLimits() {
		if limit.GetMaxAmount() != nil {
			said = append(said, "up to "+formatMoney(limit.GetMaxAmount())+" "+periodWords(limit))
		}
		if limit.GetMaxCount() > 0 {
			said = append(said, strconv.Itoa(int(limit.GetMaxCount()))+" purchases "+periodWords(limit))
		}
	}
	list := func(before string, codes []string, name func(string) string) {
		if len(codes) > 0 {
			named := make([]string, 0, len(codes))
			for _, code := range codes[:min(len(codes), listedCodes)] {
				named = append(named, name(code))
			}
			if more := len(codes) - listedCodes; more > 0 {
				named = append(named, strconv.Itoa(more)+" more")
			}
			said = append(said, before+strings.Join(named, ", "))
		}
	}
	asIs := func(code string) string { return code }
	list("only ", set.GetAllowedMccs(), c.categories.name)
	list("no ", set.GetBlockedMccs(), c.categories.name)
	list("only in ", set.GetAllowedCountries(), asIs)
	list("not in ", set.GetBlockedCountries(), asIs)
	if set.GetLockedMerchantId() != "" {
		said = append(said, "only at merchant "+set.GetLockedMerchantId())
	}
	if set.GetLockToFirstMerchant() {
		said = append(said, "only at the merchant of the first purchase")
	}
	if set.GetSingleUse() {
		said = append(said, "for one purchase only")
	}
	return said
}

// listedCodes is how many codes of a list are named.
const listedCodes = 4

// periodWords says what time a limit is for.
func periodWords(limit *typev1.SpendingLimit) string {
	if hours := limit.GetTrailingHours(); hours > 0 {
		return "in " + strconv.Itoa(int(hours)) + " hours"
	}
	if limit.GetWindow() == typev1.Window_WINDOW_LIFETIME {
		return "ever"
	}
	return "a " + strings.ToLower(enumName(limit.GetWindow()))
}
