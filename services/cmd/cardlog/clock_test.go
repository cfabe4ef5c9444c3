package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// day is a day of the clock.
const day = 24 * time.Hour

// manualConfig is a cardlog with a manual clock that starts at a time.
func manualConfig(t *testing.T, at time.Time) config {
	c := testConfig(t)
	c.manualClock, c.clock = true, func() time.Time { return at }
	return c
}

// noonOfMarch is when the clocks of these tests start.
func noonOfMarch() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// advance moves the clock forward and returns the time.
func (b *bank) advance(by time.Duration) time.Time {
	b.t.Helper()
	answer, err := adminv1.NewClockServiceClient(b.connection).Advance(b.t.Context(), &adminv1.AdvanceRequest{Duration: durationpb.New(by)})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.GetTime().AsTime()
}

// wantStored fails the test unless an account's ledger has a fact so many times. The log knows nothing of what is merely due.
func (b *bank) wantStored(account, fact string, times int) {
	b.t.Helper()
	events, err := b.ListEvents(b.t.Context(), &transactionsv1.ListEventsRequest{Account: &transactionsv1.ListEventsRequest_AccountId{AccountId: account}})
	if err != nil {
		b.t.Fatal(err)
	}
	stored := 0
	for {
		event, err := events.Recv()
		if err != nil {
			break
		}
		if strings.Contains(event.String(), fact) {
			stored++
		}
	}
	if stored != times {
		b.t.Errorf("%s has %d of %s, want %d", account, stored, fact, times)
	}
}

func TestHoldsExpireWhenTheClockIsAdvanced(t *testing.T) {
	t.Parallel()
	c := manualConfig(t, noonOfMarch())
	c.shards = 3
	b, _ := startBank(t, c)
	for i := range 20 { // on all shards
		account := fmt.Sprint("account-", i)
		b.open(account, 10_000)
		for purchase := range 3 {
			if _, err := b.authorize(t.Context(), account, fmt.Sprint("purchase-", purchase), 1000); err != nil {
				t.Fatal(err)
			}
		}
	}
	if now := b.advance(holdLife - time.Microsecond); !now.Equal(noonOfMarch().Add(holdLife - time.Microsecond)) {
		t.Errorf("the clock is at %s", now)
	}
	for i := range 20 {
		b.wantStored(fmt.Sprint("account-", i), "authorization_expired", 0)
		b.wantBalances(fmt.Sprint("account-", i), 0, 3000, 7000)
	}
	b.advance(time.Microsecond)
	for i := range 20 {
		b.wantStored(fmt.Sprint("account-", i), "authorization_expired", 3)
		b.wantBalances(fmt.Sprint("account-", i), 0, 0, 10_000)
	}
}

func TestTheTablesOfARulesFileAreFollowed(t *testing.T) {
	t.Parallel()
	c := manualConfig(t, noonOfMarch())
	c.rules = rulesFile(t, `{version: v1, profiles: {default: {over_limit_percent: 10, hold_expiry: [{mcc: 5411, max_amount: 1000, days: 2}, {days: 3}], hold_amount: [{mcc: 5411, percent: 20}]}}}`)
	b, _ := startBank(t, c)
	b.open("alice", 10_000)
	b.wantAnswer("alice", "small", 1000, "APPROVED 00")
	b.wantAnswer("alice", "large", 8000, "APPROVED 00")
	b.wantBalances("alice", 0, 10_800, -800)
	b.wantAnswer("alice", "beyond", 201, "DECLINED 51 INSUFFICIENT_CREDIT")
	b.advance(2*day - time.Microsecond)
	b.wantBalances("alice", 0, 10_800, -800)
	b.advance(time.Microsecond)
	b.wantBalances("alice", 0, 9600, 400)
	b.advance(day)
	b.wantBalances("alice", 0, 0, 10_000)
}

func TestAWithheldPaymentIsReleasedWhenTheClockIsAdvanced(t *testing.T) {
	t.Parallel()
	c := manualConfig(t, noonOfMarch())
	c.rules = rulesFile(t, "version: v1\nprofiles: {default: {payments: {withhold_days: 3}}}")
	b, _ := startBank(t, c)
	b.open("alice", 10_000)
	account := &transactionsv1.PresentRequest_AccountId{AccountId: "alice"}
	if _, err := b.Present(t.Context(), &transactionsv1.PresentRequest{Account: account, PresentmentId: "p1", Amount: pounds(4000)}); err != nil {
		t.Fatal(err)
	}
	payments := paymentsv1.NewPaymentsServiceClient(b.connection)
	submit := &paymentsv1.SubmitPaymentRequest{AccountId: "alice", PaymentId: "pay1", Amount: pounds(3000),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "bank"}}
	if _, err := payments.SubmitPayment(t.Context(), submit); err != nil {
		t.Fatal(err)
	}
	// Nobody has looked since the payment was taken: it must have reached the ledger all the same before the clock moves.
	b.advance(3*day - time.Microsecond)
	b.wantStored("alice", "payment_posted", 1)
	b.wantStored("alice", "withholding_ended", 0)
	b.wantBalances("alice", 1000, 0, 6000)
	b.advance(time.Microsecond)
	b.wantStored("alice", "withholding_ended", 1)
	b.wantBalances("alice", 1000, 0, 9000)
}

func TestTheClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, manualConfig(t, noonOfMarch()))
	clock := adminv1.NewClockServiceClient(b.connection)
	set := func(to *timestamppb.Timestamp) error {
		answer, err := clock.Set(t.Context(), &adminv1.SetRequest{Time: to})
		if err == nil && !answer.GetTime().AsTime().Equal(to.AsTime()) {
			t.Errorf("set to %s it is at %s", to.AsTime(), answer.GetTime().AsTime())
		}
		return err
	}
	if err := set(timestamppb.New(noonOfMarch().Add(day))); err != nil {
		t.Fatal(err)
	}
	wantError(t, set(timestamppb.New(noonOfMarch().Add(day-time.Microsecond))), codes.FailedPrecondition, "TIME_NEVER_GOES_BACK")
	if err := set(timestamppb.New(noonOfMarch().Add(day))); err != nil {
		t.Errorf("to the time that it is: %v", err)
	}
	wantError(t, set(timestamppb.New(clockEnd().Add(1))), codes.InvalidArgument, "INVALID_FIELD")
	wantError(t, set(&timestamppb.Timestamp{Seconds: 1 << 60}), codes.InvalidArgument, "INVALID_FIELD")
	wantError(t, set(nil), codes.InvalidArgument, "INVALID_FIELD")
	if err := set(timestamppb.New(clockEnd())); err != nil {
		t.Errorf("to its end: %v", err)
	}
	for _, by := range []*durationpb.Duration{durationpb.New(time.Microsecond), durationpb.New(-1), {Seconds: 3153600001}, {Seconds: 1 << 60}, {Seconds: 1, Nanos: -1}, nil} {
		if _, err := clock.Advance(t.Context(), &adminv1.AdvanceRequest{Duration: by}); err == nil {
			t.Errorf("advanced by %v", by)
		} else if code := codeName(status.Code(err)); code != "INVALID_ARGUMENT" {
			t.Errorf("advanced by %v: %v", by, err)
		}
	}
	if now := b.advance(0); !now.Equal(clockEnd()) {
		t.Errorf("after all that the clock is at %s", now)
	}
}

// What a restart knows of the time is in the log: there is nothing else.
func TestARestartGoesOnAtTheNewestEvent(t *testing.T) {
	t.Parallel()
	c := manualConfig(t, noonOfMarch())
	b, p := startBank(t, c)
	b.open("alice", 10_000)
	if _, err := b.authorize(t.Context(), "alice", "coffee", 1000); err != nil {
		t.Fatal(err)
	}
	b.advance(10 * day) // the hold expires, so the log has this time
	b.advance(5 * day)  // nothing happens
	p.stop()

	b, p = startBank(t, c)
	if now := b.advance(0); !now.Equal(noonOfMarch().Add(10 * day)) {
		t.Errorf("after a restart the clock is at %s", now)
	}
	p.stop()

	// Of all streams, not only of the ledger: ACCOUNTS has the newest event now.
	b, p = startBank(t, c)
	b.advance(day)
	if _, err := b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "bob", CreditLimit: pounds(1),
		Holder: &accountsv1.Holder{FullName: "Bob", Address: &accountsv1.Address{CountryCode: "GB"}}}); err != nil {
		t.Fatal(err)
	}
	p.stop()
	later := noonOfMarch().Add(11*day + time.Hour)
	b, p = startBank(t, c)
	if now := b.advance(0); !now.Equal(noonOfMarch().Add(11 * day)) {
		t.Errorf("after another restart the clock is at %s", now)
	}
	p.stop()
	c.clock = func() time.Time { return later }
	b, p = startBank(t, c)
	if now := b.advance(0); !now.Equal(later) {
		t.Errorf("with the machine's clock ahead it is at %s", now)
	}
	p.stop()

	c.manualClock = false
	c.clock = noonOfMarch
	b, _ = startBank(t, c)
	if d := must(b.authorize(t.Context(), "alice", "tea", 1000))(t); d.GetOutcome() != typev1.Outcome_OUTCOME_APPROVED {
		t.Errorf("with the machine's clock behind the log: %v", d)
	}
}

func TestTheClockIsServedOnlyWhereItIsManual(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	if _, err := adminv1.NewClockServiceClient(b.connection).Advance(t.Context(), &adminv1.AdvanceRequest{Duration: durationpb.New(day)}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a clock that is the machine's answered %v", err)
	}
}

func TestAManualClockIsRefusedWithAnOutsideNATSUnlessForced(t *testing.T) {
	t.Parallel()
	server := startOutsideNATS(t)
	c := manualConfig(t, noonOfMarch())
	c.nats = server
	if _, err := start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "--manual-clock-outside-nats") {
		t.Fatalf("it said %v", err)
	}
	c.manualOutside = true
	b, _ := startBank(t, c)
	b.open("alice", 10_000)
	if _, err := b.authorize(t.Context(), "alice", "coffee", 1000); err != nil {
		t.Fatal(err)
	}
	b.advance(holdLife)
	b.wantStored("alice", "authorization_expired", 1)
}

func TestAManualClockIsSaidLoudly(t *testing.T) {
	t.Parallel()
	c := manualConfig(t, noonOfMarch())
	var log lockedBuffer
	c.logger = slog.New(slog.NewTextHandler(&log, nil))
	_, p := startBank(t, c)
	if !strings.Contains(log.String(), "level=WARN msg=\"THE CLOCK IS MANUAL") {
		t.Errorf("the log says %s", log.String())
	}
	var greeting bytes.Buffer
	(&upOptions{config: c}).greet(&greeting, p, p.endpoints(), time.Second)
	if !strings.Contains(greeting.String(), "CLOCK  2026-03-01T12:00:00Z") {
		t.Errorf("it greets with %s", greeting.String())
	}
}

func TestSeveralWhoAdvanceTheClockAtOnce(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, manualConfig(t, noonOfMarch()))
	b.open("alice", 1_000_000)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := b.authorize(t.Context(), "alice", fmt.Sprint("coffee-", i), 100); err != nil {
				t.Error(err)
			}
			if _, err := adminv1.NewClockServiceClient(b.connection).Advance(t.Context(), &adminv1.AdvanceRequest{Duration: durationpb.New(day)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if now := b.advance(0); !now.Equal(noonOfMarch().Add(8 * day)) {
		t.Errorf("the clock is at %s", now)
	}
	b.advance(holdLife)
	b.wantStored("alice", "authorization_expired", 8)
}
