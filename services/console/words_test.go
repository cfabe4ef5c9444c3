package console

import (
	"regexp"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// TestEveryValueHasWords goes through the values of every enum that pages show: none is shown as the program writes it.
func TestEveryValueHasWords(t *testing.T) {
	t.Parallel()
	words := regexp.MustCompile(`^[A-Z][a-z]+( [a-z]+)*$`)
	for _, enum := range []protoreflect.Enum{
		typev1.AccountState(0), typev1.CardState(0), typev1.Outcome(0), typev1.DeclineReason(0), typev1.RejectionReason(0), typev1.CheckKind(0), typev1.EntryMode(0),
		typev1.PaymentStatus(0), typev1.PaymentSourceType(0), typev1.HoldReason(0), typev1.PaymentRejectReason(0), typev1.PaymentCheckKind(0),
		transactionsv1.TransactionStatus(0), transactionsv1.TransactionType(0), transactionsv1.EntryType(0), adminv1.FollowerState(0),
	} {
		values := enum.Descriptor().Values()
		for i := range values.Len() {
			value := enum.Type().New(values.Get(i).Number())
			if said := label(value); !words.MatchString(said) {
				t.Errorf("%s is shown as %q", values.Get(i).Name(), said)
			}
		}
		if said := label(enum.Type().New(9999)); said != "Value 9999" {
			t.Errorf("a value of %s that is not known is shown as %q", enum.Descriptor().Name(), said)
		}
	}
	if said := label(typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT); said != "Insufficient credit" {
		t.Errorf("insufficient credit is shown as %q", said)
	}
}

// TestEveryFactHasWords goes through all that can happen on an account's log.
func TestEveryFactHasWords(t *testing.T) {
	t.Parallel()
	facts := (&eventsv1.LedgerEvent{}).ProtoReflect().Descriptor().Oneofs().ByName("fact").Fields()
	for i := range facts.Len() {
		event := &eventsv1.LedgerEvent{Balances: &eventsv1.LedgerBalances{CurrencyCode: "GBP"}}
		message := event.ProtoReflect()
		message.Set(facts.Get(i), message.NewField(facts.Get(i)))
		title, said := eventWords(event)
		if title == "" || said == "" || said == "The balances after it are below." {
			t.Errorf("%s is told as %q: %q", facts.Get(i).Name(), title, said)
		}
	}
}

func TestChecksAreToldInWords(t *testing.T) {
	t.Parallel()
	c, err := New([]Server{{Address: "nowhere"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		kind        typev1.CheckKind
		seen, bound string
		want        checkWords
	}{
		{typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, "98000", "80000", checkWords{Seen: "£980.00", Bound: "up to £800.00"}},
		{typev1.CheckKind_CHECK_KIND_CARD_EXPIRY, "202611", "203004", checkWords{Seen: "November 2026", Bound: "until April 2030"}},
		{typev1.CheckKind_CHECK_KIND_CARD_STATE, "PAUSED", "ACTIVE", checkWords{Seen: "paused", Bound: "active"}},
		{typev1.CheckKind_CHECK_KIND_MCC, "5411", "blocked", checkWords{Seen: "5411 Grocery Stores, Supermarkets", Bound: "blocked"}},
		{typev1.CheckKind_CHECK_KIND_MESSAGE_AGE, "90000", "3888000", checkWords{Seen: "25 hours", Bound: "up to 45 days"}},
		{typev1.CheckKind(9999), "7", "", checkWords{Seen: "7", Bound: "–"}},
	} {
		got := c.wordsOfCheck(&transactionsv1.Check{Check: row.kind, Seen: row.seen, Bound: row.bound}, "GBP")
		if got.Seen != row.want.Seen || got.Bound != row.want.Bound || got.Sentence == "" {
			t.Errorf("%v with %s against %s is told as %+v, want %+v", row.kind, row.seen, row.bound, got, row.want)
		}
	}
}

func TestSizesAndCountsAreWrittenShort(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 250 << 20: "250 MiB", 5 << 40: "5.0 TiB"} {
		if got := formatBytes(size); got != want {
			t.Errorf("%d bytes are written %q, want %q", size, got, want)
		}
	}
	if got := count(uint64(1234567)); got != "1,234,567" {
		t.Errorf("1234567 is written %q", got)
	}
}
