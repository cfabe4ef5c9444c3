package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// fakeCardlog stands where the connection does and knows just enough of the contract: ids, limits, posted balances and what a card may spend.
// What the real services do is tested with the real services.
type fakeCardlog struct {
	// refuse, if set, may answer a call with an error in its stead.
	refuse func(ctx context.Context, request proto.Message) error
	// review, if set, decides a payment.
	review func(request *paymentsv1.SubmitPaymentRequest) typev1.PaymentStatus
	// lag is after what time a payment is in the posted balance.
	lag time.Duration
	// clock, if set, is moved by hand.
	clock time.Time

	mu       sync.Mutex
	accounts map[string]*accountsv1.Account
	holders  map[string]string // account ids by card id
	daily    map[string]int64  // what a card may spend in a day
	spent    map[string]int64  // what it spent
	asked    map[string]*transactionsv1.Transaction
	posted   map[string]int64
	payments map[string]*paymentsv1.Payment
	requests map[string]proto.Message
	answers  map[string]proto.Message
	// calls are all calls that were let through, as "Present 1234 5.00".
	calls []string
}

func newFakeCardlog() *fakeCardlog {
	return &fakeCardlog{
		accounts: make(map[string]*accountsv1.Account),
		holders:  make(map[string]string),
		daily:    make(map[string]int64),
		spent:    make(map[string]int64),
		asked:    make(map[string]*transactionsv1.Transaction),
		posted:   make(map[string]int64),
		payments: make(map[string]*paymentsv1.Payment),
		requests: make(map[string]proto.Message),
		answers:  make(map[string]proto.Message),
	}
}

func (f *fakeCardlog) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("replay opens no streams")
}

func (f *fakeCardlog) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	request := args.(proto.Message)
	if f.refuse != nil {
		if err := f.refuse(ctx, request); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	response, err := f.answer(method[strings.LastIndex(method, "/")+1:], request)
	if err != nil {
		return err
	}
	proto.Merge(reply.(proto.Message), response)
	return nil
}

func (f *fakeCardlog) answer(call string, request proto.Message) (proto.Message, error) {
	switch r := request.(type) {
	case *accountsv1.OpenAccountRequest:
		return f.once(call, r.GetAccountId(), r, func() proto.Message {
			f.accounts[r.GetAccountId()] = &accountsv1.Account{
				AccountId: r.GetAccountId(), CreditLimit: r.GetCreditLimit(), RulesProfile: r.GetRulesProfile(), Sequence: 1,
			}
			return &accountsv1.OpenAccountResponse{}
		})
	case *accountsv1.UpdateCreditLimitRequest:
		return f.once(call, r.GetRequestId(), r, func() proto.Message {
			f.accounts[r.GetAccountId()].CreditLimit = r.GetCreditLimit()
			f.accounts[r.GetAccountId()].Sequence++
			return &accountsv1.UpdateCreditLimitResponse{}
		})
	case *accountsv1.GetAccountRequest:
		return &accountsv1.GetAccountResponse{Account: f.accounts[r.GetAccountId()]}, nil
	case *accountsv1.IssueCardRequest:
		return f.once(call, r.GetCardId(), r, func() proto.Message {
			f.holders[r.GetCardId()] = r.GetAccountId()
			return &accountsv1.IssueCardResponse{CardNumber: "4111111111111111"}
		})
	case *transactionsv1.AuthorizeRequest:
		return f.once(call, r.GetTransactionId(), r, func() proto.Message {
			decision := f.decide(call, r.GetCardId(), r.GetAmount(), 0)
			f.check(r, decision)
			return &transactionsv1.AuthorizeResponse{Result: &transactionsv1.AuthorizeResponse_Decision{Decision: decision}}
		})
	case *transactionsv1.PresentRequest:
		return f.once(call, r.GetPresentmentId(), r, func() proto.Message {
			decision := f.decide(call, r.GetCardId(), r.GetAmount(), 1)
			if asked := f.asked[r.GetTransactionId()]; asked != nil {
				asked.Status = transactionsv1.TransactionStatus_TRANSACTION_STATUS_CLEARED
			}
			return &transactionsv1.PresentResponse{Result: &transactionsv1.PresentResponse_Decision{Decision: decision}}
		})
	case *transactionsv1.RefundRequest:
		return f.once(call, r.GetRefundId(), r, func() proto.Message {
			return &transactionsv1.RefundResponse{Decision: f.decide(call, r.GetCardId(), r.GetAmount(), -1)}
		})
	case *transactionsv1.GetBalanceRequest:
		return &transactionsv1.GetBalanceResponse{Balances: &transactionsv1.Balances{Posted: money(f.posted[r.GetAccountId()], "GBP")}}, nil
	}
	return f.answerPayment(call, request)
}

func (f *fakeCardlog) answerPayment(call string, request proto.Message) (proto.Message, error) {
	key := func(r interface {
		GetAccountId() string
		GetPaymentId() string
	}) string {
		return r.GetAccountId() + " " + r.GetPaymentId()
	}
	switch r := request.(type) {
	case *paymentsv1.SubmitPaymentRequest:
		return f.once(call, key(r), r, func() proto.Message {
			payment := &paymentsv1.Payment{PaymentId: r.GetPaymentId(), AccountId: r.GetAccountId(), Amount: r.GetAmount(), Status: submitted}
			if f.review != nil {
				payment.Status = f.review(r)
			}
			switch payment.GetStatus() {
			case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
				payment.HoldReasons = []typev1.HoldReason{typev1.HoldReason_HOLD_REASON_RECENT_RETURN}
			case typev1.PaymentStatus_PAYMENT_STATUS_REJECTED:
				payment.RejectReason = typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_MORE_THAN_OWED
			default:
			}
			f.payments[key(r)] = payment
			f.calls = append(f.calls, fmt.Sprintf("%s %s %s", call, strings.TrimPrefix(r.GetAccountId(), "acct-"), FormatMinor(r.GetAmount().GetMinorUnits(), "")))
			if payment.GetStatus() == submitted {
				f.post(r.GetAccountId(), -r.GetAmount().GetMinorUnits())
			}
			return &paymentsv1.SubmitPaymentResponse{Payment: proto.CloneOf(payment)}
		})
	case *paymentsv1.GetPaymentRequest:
		return &paymentsv1.GetPaymentResponse{Payment: proto.CloneOf(f.payments[key(r)])}, nil
	case *paymentsv1.ReturnPaymentRequest:
		return f.once(call, r.GetRequestId(), r, func() proto.Message {
			f.payments[key(r)].Status = typev1.PaymentStatus_PAYMENT_STATUS_RETURNED
			f.post(r.GetAccountId(), f.payments[key(r)].GetAmount().GetMinorUnits())
			return &paymentsv1.ReturnPaymentResponse{}
		})
	case *paymentsv1.ReleasePaymentRequest:
		return f.once(call, r.GetRequestId(), r, func() proto.Message {
			f.payments[key(r)].Status = submitted
			f.post(r.GetAccountId(), -f.payments[key(r)].GetAmount().GetMinorUnits())
			return &paymentsv1.ReleasePaymentResponse{}
		})
	}
	return f.answerStory(call, request)
}

// answerStory answers what only the demo's story asks.
func (f *fakeCardlog) answerStory(call string, request proto.Message) (proto.Message, error) {
	switch r := request.(type) {
	case *accountsv1.SetSpendingControlsRequest:
		return f.once(call, r.GetRequestId(), r, func() proto.Message {
			f.daily[r.GetCardId()] = r.GetControls().GetLimits()[0].GetMaxAmount().GetMinorUnits()
			return &accountsv1.SetSpendingControlsResponse{}
		})
	case *transactionsv1.ReverseAuthorizationRequest:
		return f.once(call, r.GetReversalId(), r, func() proto.Message {
			return &transactionsv1.ReverseAuthorizationResponse{Decision: f.decide(call, r.GetCardId(), r.GetAmount(), 0)}
		})
	case *transactionsv1.GetTransactionRequest:
		if f.asked[r.GetTransactionId()] == nil {
			return nil, status.Error(codes.NotFound, r.GetTransactionId())
		}
		return &transactionsv1.GetTransactionResponse{Transaction: proto.CloneOf(f.asked[r.GetTransactionId()])}, nil
	case *adminv1.AdvanceRequest:
		if !f.clock.IsZero() {
			return &adminv1.AdvanceResponse{Time: timestamppb.New(f.clock)}, nil
		}
	case *adminv1.SetRequest:
		f.clock = r.GetTime().AsTime()
		for _, asked := range f.asked {
			if asked.GetStatus() == transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING && !asked.GetExpiresAt().AsTime().After(f.clock) {
				asked.Status = transactionsv1.TransactionStatus_TRANSACTION_STATUS_EXPIRED
			}
		}
		return &adminv1.SetResponse{Time: r.GetTime()}, nil
	}
	return nil, status.Error(codes.Unimplemented, call)
}

// check declines a purchase beyond the account's limit, or beyond what the card may spend in a day.
func (f *fakeCardlog) check(r *transactionsv1.AuthorizeRequest, decision *transactionsv1.Decision) {
	account, card := f.holders[r.GetCardId()], r.GetCardId()
	asked := &transactionsv1.Transaction{TransactionId: r.GetTransactionId(), Status: transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING,
		ExpiresAt: timestamppb.New(f.clock.AddDate(0, 0, 7)), Decision: decision}
	f.asked[r.GetTransactionId()] = asked
	hold := func(kind typev1.CheckKind, reason typev1.DeclineReason, window string, seen, bound int64) {
		passed := seen <= bound
		asked.Checks = append(asked.Checks, &transactionsv1.Check{Check: kind, Passed: passed, Window: window, Seen: fmt.Sprint(seen), Bound: fmt.Sprint(bound)})
		if !passed && decision.GetOutcome() != typev1.Outcome_OUTCOME_DECLINED {
			decision.Outcome, decision.DeclineReason = typev1.Outcome_OUTCOME_DECLINED, reason
			asked.Status = transactionsv1.TransactionStatus_TRANSACTION_STATUS_DECLINED
		}
	}
	hold(typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT, "",
		f.posted[account]+r.GetAmount().GetMinorUnits(), f.accounts[account].GetCreditLimit().GetMinorUnits())
	if bound, bounded := f.daily[card]; bounded {
		hold(typev1.CheckKind_CHECK_KIND_WINDOW_AMOUNT, typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED, "DAY", f.spent[card]+r.GetAmount().GetMinorUnits(), bound)
	}
	if decision.GetOutcome() != typev1.Outcome_OUTCOME_DECLINED {
		f.spent[card] += r.GetAmount().GetMinorUnits()
	}
}

const submitted = typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED

// post moves a posted balance after the lag.
func (f *fakeCardlog) post(accountID string, minor int64) {
	if f.lag == 0 {
		f.posted[accountID] += minor
		return
	}
	time.AfterFunc(f.lag, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.posted[accountID] += minor
	})
}

// decide logs a command and posts sign times its amount.
func (f *fakeCardlog) decide(call, card string, amount *typev1.Money, sign int64) *transactionsv1.Decision {
	lastFour := strings.TrimPrefix(card, "card-")
	f.calls = append(f.calls, fmt.Sprintf("%s %s %s", call, lastFour, FormatMinor(amount.GetMinorUnits(), "")))
	f.posted[f.holders[card]] += sign * amount.GetMinorUnits()
	outcome := typev1.Outcome_OUTCOME_APPROVED
	if sign != 0 {
		outcome = typev1.Outcome_OUTCOME_RECORDED
	}
	return &transactionsv1.Decision{Outcome: outcome}
}

// once acts on the first request with an id, and answers later ones as the contract says.
func (f *fakeCardlog) once(call, id string, request proto.Message, act func() proto.Message) (proto.Message, error) {
	key := call + " " + id // Wider than the contract, which scopes ids to accounts: ids must hold on their own.
	first, known := f.requests[key]
	switch {
	case !known:
		f.requests[key], f.answers[key] = proto.Clone(request), act()
		return f.answers[key], nil
	case !proto.Equal(first, request):
		return nil, status.Error(codes.AlreadyExists, "used for other content")
	}
	answer := proto.Clone(f.answers[key])
	if decided, ok := answer.(interface {
		GetDecision() *transactionsv1.Decision
	}); ok {
		decided.GetDecision().Duplicate = true
		return answer, nil
	}
	reflected := answer.ProtoReflect()
	reflected.Set(reflected.Descriptor().Fields().ByName("duplicate"), protoreflect.ValueOfBool(true))
	return answer, nil
}

// row is a line of a file.
func row(lastFour, amount string) string { return rowOf("merchant", lastFour, amount) }

// payment is a line of a file that pays what is owed.
func payment(lastFour, amount string) string {
	return rowOf("direct debit payment than", lastFour, amount)
}

func rowOf(merchant, lastFour, amount string) string {
	return fmt.Sprintf("2015-03-02,%s,%s,%s,GBP,%s,GBP,Food", lastFour, merchant, amount, amount)
}

func TestRun(t *testing.T) {
	t.Parallel()
	refuseFirst := func(err error) func(context.Context, proto.Message) error {
		var seen sync.Map
		return func(_ context.Context, request proto.Message) error {
			if _, again := seen.LoadOrStore(request, true); again {
				return nil
			}
			return err
		}
	}
	failPresent := func(_ context.Context, request proto.Message) error {
		if r, ok := request.(*transactionsv1.PresentRequest); ok && r.GetAmount().GetMinorUnits() == 7_00 {
			return status.Error(codes.Internal, "internal")
		}
		return nil
	}
	hang := func(ctx context.Context, request proto.Message) error {
		if _, ok := request.(*transactionsv1.RefundRequest); !ok {
			return nil
		}
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	rows := []string{row("1111", "5.00"), row("2222", "8.00"), row("1111", "7.00"), row("1111", "-2.00")}
	all := Report{Rows: 4, Accounts: 2, Approved: 3, Presented: 3, Refunded: 1, ControlTotals: ControlTotals{Accounts: 2, Exact: 2}}
	tests := map[string]struct {
		rows    []string
		options Options
		refuse  func(context.Context, proto.Message) error
		review  func(*paymentsv1.SubmitPaymentRequest) typev1.PaymentStatus
		change  func(*Report)
	}{
		"plays all rows":                {rows: rows, change: func(*Report) {}},
		"retries what is unavailable":   {rows: rows, refuse: refuseFirst(status.Error(codes.Unavailable, "")), change: func(*Report) {}},
		"retries when it is overloaded": {rows: rows, refuse: refuseFirst(status.Error(codes.ResourceExhausted, "")), change: func(*Report) {}},
		"counts a failed row and goes on": {rows: rows, refuse: failPresent, change: func(r *Report) {
			r.Presented, r.Failed = 2, 1
			r.FailedRows = []FailedRow{{Line: 4, Call: "Present", Code: "INTERNAL", Message: "internal"}}
		}},
		"counts a call without an answer as failed": {rows: rows, refuse: hang, change: func(r *Report) {
			r.Refunded, r.Failed = 0, 1
			r.FailedRows = []FailedRow{{Line: 5, Call: "Refund", Code: "DEADLINE_EXCEEDED", Message: "context deadline exceeded"}}
		}},
		"does not present what was declined": {rows: rows, options: Options{CreditLimit: 11_00}, change: func(r *Report) {
			r.Approved, r.Presented, r.Declined = 2, 2, 1
			r.DeclinedByReason = map[string]int{"INSUFFICIENT_CREDIT": 1}
		}},
		"lists broken and empty rows": {rows: append([]string{"?", row("3333", "0.00")}, rows...), change: func(r *Report) {
			r.Rows, r.Skipped, r.Broken = 6, 1, 1
			r.BrokenRows = []*RowError{{Line: 2, Reason: "does not have 8 columns"}}
			r.SkippedRows = []*RowError{{Line: 3, Reason: "amount is zero: nothing to post"}}
		}},
		"pays by direct debit": {rows: append([]string{payment("2222", "-3.00"), payment("2222", "4.00"), rowOf(" Direct Debit PAYMENT", "1111", "-1.00")}, rows...),
			change: func(r *Report) { r.Rows, r.Approved, r.Presented, r.Paid = 7, 4, 4, 2 }},
		"does not count on payments that were not taken": {
			rows: append([]string{payment("1111", "-1.00"), payment("1111", "-3.00"), payment("2222", "-2.00")}, rows...),
			review: func(r *paymentsv1.SubmitPaymentRequest) typev1.PaymentStatus {
				return map[int64]typev1.PaymentStatus{
					1_00: typev1.PaymentStatus_PAYMENT_STATUS_HELD, 2_00: typev1.PaymentStatus_PAYMENT_STATUS_REJECTED, 3_00: submitted,
				}[r.GetAmount().GetMinorUnits()]
			},
			change: func(r *Report) {
				r.Rows, r.Paid, r.Unpaid = 7, 1, 2
				r.UnpaidByStatus = map[string]int{"HELD": 1, "REJECTED": 1}
			}},
		"plays a file without rows": {change: func(r *Report) { *r = Report{} }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cardlog := newFakeCardlog()
				cardlog.refuse, cardlog.review = test.refuse, test.review
				got, err := Run(t.Context(), cardlog, strings.NewReader(lines(test.rows...)), test.options)
				if err != nil {
					t.Fatal(err)
				}
				want := all
				test.change(&want)
				got.Amounts, got.Latency = nil, nil
				got.ElapsedSeconds, got.PlayedSeconds, got.RowsPerSecond = 0, 0, 0
				if diff := reportDiff(got, &want); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// reportDiff compares two reports field by field. An empty list or map is the same as none.
func reportDiff(got, want *Report) string {
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	var different []string
	for i := range g.NumField() {
		a, b := text(g.Field(i)), text(w.Field(i))
		if a != b {
			different = append(different, fmt.Sprintf("%s: got %s, want %s", g.Type().Field(i).Name, a, b))
		}
	}
	return strings.Join(different, "\n")
}

func text(value reflect.Value) string {
	encoded, err := json.Marshal(value.Interface())
	if err != nil {
		return err.Error()
	}
	return strings.NewReplacer("null", "", "[]", "", "{}", "").Replace(string(encoded))
}

func TestRunKeepsFileOrderWithinAccount(t *testing.T) {
	t.Parallel()
	var rows, want []string
	for i := range 200 {
		lastFour, amount := fmt.Sprintf("%04d", i%3), fmt.Sprintf("%d.00", i+1)
		rows = append(rows, row(lastFour, amount))
		want = append(want, fmt.Sprintf("Authorize %s  %s", lastFour, amount), fmt.Sprintf("Present %s  %s", lastFour, amount))
	}
	cardlog := newFakeCardlog()
	if _, err := Run(t.Context(), cardlog, strings.NewReader(lines(rows...)), Options{Concurrency: 3}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		other := func(call string) bool { return !strings.Contains(call, fmt.Sprintf(" %04d ", i)) }
		got, want := slices.DeleteFunc(slices.Clone(cardlog.calls), other), slices.DeleteFunc(slices.Clone(want), other)
		if !slices.Equal(got, want) {
			t.Errorf("account %d: got %v, want %v", i, got, want)
		}
	}
}

func TestRunTwiceMovesNothing(t *testing.T) {
	t.Parallel()
	cardlog := newFakeCardlog()
	first := lines(row("1111", "600.00"), row("1111", "600.00"), row("1111", "-20.00"))
	more := first + row("1111", "2000.00") + "\n"
	steps := []struct {
		file       string
		limit      int64
		duplicates int
		wantLimit  int64
		wantPosted int64
	}{
		{first, 0, 0, 1200_00, 1180_00},
		{first, 0, 3, 1200_00, 1180_00},
		{more, 0, 3, 3200_00, 3180_00},
		{more, 0, 4, 3200_00, 3180_00},
		{more, 5000_00, 4, 5000_00, 3180_00},
		{more, 0, 4, 3200_00, 3180_00},
		{more, 5000_00, 4, 5000_00, 3180_00},
	}
	for i, step := range steps {
		report, err := Run(t.Context(), cardlog, strings.NewReader(step.file), Options{CreditLimit: step.limit})
		if err != nil {
			t.Fatal(err)
		}
		if report.Duplicates != step.duplicates || len(report.ControlTotals.Differences) != 0 {
			t.Errorf("step %d: got %d duplicates, differences %v, want %d and none",
				i, report.Duplicates, report.ControlTotals.Differences, step.duplicates)
		}
		if limit := cardlog.accounts["acct-1111"].GetCreditLimit().GetMinorUnits(); limit != step.wantLimit {
			t.Errorf("step %d: limit %d, want %d", i, limit, step.wantLimit)
		}
		if posted := cardlog.posted["acct-1111"]; posted != step.wantPosted {
			t.Errorf("step %d: posted %d, want %d", i, posted, step.wantPosted)
		}
	}
}

func TestRunTellsOfDifference(t *testing.T) {
	t.Parallel()
	cardlog := newFakeCardlog()
	cardlog.posted["acct-1111"] = 3_00
	report, err := Run(t.Context(), cardlog, strings.NewReader(lines(row("2222", "5.00"), row("1111", "5.00"))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Difference{{AccountID: "acct-1111", Currency: "GBP", ExpectedMinorUnits: 5_00, PostedMinorUnits: 8_00}}
	if got := report.ControlTotals; got.Accounts != 2 || got.Exact != 1 || !slices.Equal(got.Differences, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRunWaitsForPaymentsToBePosted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lag      time.Duration
		rows     []string
		exact    int
		looks    int64
		atLeast  time.Duration
		atMost   time.Duration
		posted   int64
		reported int64
	}{
		"no lag":               {0, []string{payment("1111", "-5.00")}, 1, 1, 0, time.Second, 0, 0},
		"a second":             {time.Second, []string{payment("1111", "-5.00")}, 1, 6, time.Second, 2 * time.Second, 0, 0},
		"9.9 seconds":          {9900 * time.Millisecond, []string{payment("1111", "-5.00")}, 1, 9, 9900 * time.Millisecond, 11 * time.Second, 0, 0},
		"too long":             {time.Minute, []string{payment("1111", "-5.00")}, 0, 9, 10 * time.Second, 11 * time.Second, 0, 0},
		"a wrong balance":      {0, []string{payment("1111", "-5.00")}, 0, 9, 10 * time.Second, 11 * time.Second, 1_00, -4_00},
		"not without payments": {0, []string{row("1111", "-5.00")}, 0, 1, 0, time.Second, 1_00, -4_00},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cardlog := newFakeCardlog()
				cardlog.lag, cardlog.posted["acct-1111"] = test.lag, test.posted
				report, err := Run(t.Context(), cardlog, strings.NewReader(lines(test.rows...)), Options{})
				if err != nil {
					t.Fatal(err)
				}
				took := time.Duration(report.ElapsedSeconds * float64(time.Second))
				if report.ControlTotals.Exact != test.exact || took < test.atLeast || took > test.atMost {
					t.Errorf("%d exact after %v, want %d after %v to %v", report.ControlTotals.Exact, took, test.exact, test.atLeast, test.atMost)
				}
				for _, latency := range report.Latency {
					if latency.Call == "GetBalance" && latency.Count != test.looks {
						t.Errorf("looked %d times, want %d", latency.Count, test.looks)
					}
				}
				if test.exact == 0 {
					want := Difference{AccountID: "acct-1111", Currency: "GBP", ExpectedMinorUnits: -5_00, PostedMinorUnits: test.reported}
					if got := report.ControlTotals.Differences[0]; got != want {
						t.Errorf("got %+v, want %+v", got, want)
					}
				}
			})
		})
	}
}

func TestRunSubmitsPaymentsByTheRow(t *testing.T) {
	t.Parallel()
	cardlog := newFakeCardlog()
	file := lines(row("1111", "9.00"), payment("1111", "-5.00"), payment("1111", "-5.00"))
	for i, wantDuplicates := range []int{0, 3} {
		report, err := Run(t.Context(), cardlog, strings.NewReader(file), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Paid != 2 || report.Refunded != 0 || report.Duplicates != wantDuplicates || report.ControlTotals.Exact != 1 {
			t.Errorf("run %d: got %+v", i, report)
		}
		if want := []Amount{{Currency: "GBP", PresentedMinorUnits: 9_00, PaidMinorUnits: 10_00}}; !slices.Equal(report.Amounts, want) {
			t.Errorf("run %d: got amounts %+v, want %+v", i, report.Amounts, want)
		}
	}
	if len(cardlog.payments) != 2 {
		t.Fatalf("there are %d payments, want 2", len(cardlog.payments))
	}
	for _, request := range cardlog.requests {
		r, ok := request.(*paymentsv1.SubmitPaymentRequest)
		if !ok {
			continue
		}
		source := r.GetSource()
		if source.GetType() != typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING || source.GetSourceId() != "direct-debit" ||
			r.GetAccountId() != "acct-1111" || !strings.HasPrefix(r.GetPaymentId(), "row-") || r.GetAmount().GetMinorUnits() != 5_00 {
			t.Errorf("submitted %v", r)
		}
	}
}

func TestRunNamesTheRulesProfile(t *testing.T) {
	t.Parallel()
	for named, want := range map[string]string{"": "replay", "default": "default"} {
		cardlog := newFakeCardlog()
		if _, err := Run(t.Context(), cardlog, strings.NewReader(lines(row("1111", "5.00"))), Options{RulesProfile: named}); err != nil {
			t.Fatal(err)
		}
		if got := cardlog.accounts["acct-1111"].GetRulesProfile(); got != want {
			t.Errorf("options say %q: opened with %q, want %q", named, got, want)
		}
	}
}

func TestRunSaysWhatToDoAboutAnUnknownRulesProfile(t *testing.T) {
	t.Parallel()
	for field, say := range map[string]string{"rules_profile": `no rules profile "replay"; name one that it has with --rules-profile`, "holder": ""} {
		cardlog := newFakeCardlog()
		cardlog.refuse = func(_ context.Context, request proto.Message) error {
			if _, ok := request.(*accountsv1.OpenAccountRequest); !ok {
				return nil
			}
			refused, err := status.New(codes.InvalidArgument, "bad").WithDetails(&errdetails.ErrorInfo{Reason: "INVALID_FIELD"},
				&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field}}})
			if err != nil {
				t.Error(err)
			}
			return refused.Err()
		}
		report, err := Run(t.Context(), cardlog, strings.NewReader(lines(row("1111", "5.00"), row("2222", "5.00"))), Options{})
		switch {
		case report == nil:
			t.Errorf("%s: no report, %v", field, err)
		case say == "" && (err != nil || report.Failed != 2):
			t.Errorf("%s: got %d failed rows, %v, want 2", field, report.Failed, err)
		case say != "" && (err == nil || !strings.Contains(err.Error(), say) || status.Code(err) != codes.InvalidArgument):
			t.Errorf("%s: said %v", field, err)
		}
	}
}

func TestRunWaitsAsLongAsServerAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newFakeCardlog()
		refused := false
		cardlog.refuse = func(_ context.Context, request proto.Message) error {
			if _, ok := request.(*transactionsv1.RefundRequest); !ok || refused {
				return nil
			}
			refused = true
			overloaded, err := status.New(codes.ResourceExhausted, "busy").WithDetails(
				&errdetails.RetryInfo{RetryDelay: durationpb.New(8 * time.Second)})
			if err != nil {
				t.Error(err)
			}
			return overloaded.Err()
		}
		report, err := Run(t.Context(), cardlog, strings.NewReader(lines(row("1111", "-5.00"))), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Refunded != 1 || report.PlayedSeconds < 8 || report.PlayedSeconds > 11 {
			t.Errorf("got %d refunds in %v s, want 1 in 8 s and some jitter", report.Refunded, report.PlayedSeconds)
		}
	})
}

func TestRunGivesUpOnOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newFakeCardlog()
		cardlog.refuse = func(_ context.Context, request proto.Message) error {
			if _, ok := request.(*transactionsv1.RefundRequest); ok {
				return status.Error(codes.Unavailable, "down")
			}
			return nil
		}
		report, err := Run(t.Context(), cardlog, strings.NewReader(lines(row("1111", "-5.00"), row("1111", "6.00"))), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Failed != 1 || report.Presented != 1 || report.FailedRows[0].Code != "UNAVAILABLE" {
			t.Errorf("got %+v, want the first row failed and the second presented", report)
		}
		if report.PlayedSeconds < 25 || report.PlayedSeconds > 30 {
			t.Errorf("gave up after %v s, want about 30", report.PlayedSeconds)
		}
	})
}

func TestRunStopsWhenServerIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newFakeCardlog()
		cardlog.refuse = func(_ context.Context, request proto.Message) error {
			if r, ok := request.(*transactionsv1.AuthorizeRequest); ok && r.GetAmount().GetMinorUnits() > 1_00 {
				return status.Error(codes.Unavailable, "gone")
			}
			return nil
		}
		rows := []string{row("1111", "1.00")}
		for range 1000 {
			rows = append(rows, row("1111", "2.00"))
		}
		report, err := Run(t.Context(), cardlog, strings.NewReader(lines(rows...)), Options{})
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "8 calls in a row got no answer") {
			t.Errorf("got %v, want it to say that the server is gone", err)
		}
		if report == nil || report.Presented != 1 || report.Failed != 8 || report.ControlTotals.Accounts != 0 {
			t.Errorf("got %+v, want what was done until then", report)
		}
	})
}

func TestRunStopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cardlog := newFakeCardlog()
		cardlog.refuse = func(_ context.Context, request proto.Message) error {
			if r, ok := request.(*transactionsv1.AuthorizeRequest); ok && r.GetAmount().GetMinorUnits() == 2_00 {
				cancel()
				return status.Error(codes.Canceled, "context canceled")
			}
			return nil
		}
		report, err := Run(ctx, cardlog, strings.NewReader(lines(row("1111", "1.00"), row("1111", "2.00"), row("1111", "3.00"))), Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if report == nil || report.Presented != 1 || report.Failed != 0 {
			t.Errorf("got %+v, want one row presented and none failed", report)
		}
	})
}

func TestRunKeepsPaceAndTellsOfProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rows []string
		for i := range 41 {
			rows = append(rows, row(fmt.Sprintf("%04d", i%5), "1.00"))
		}
		var told []int
		var last time.Time
		report, err := Run(t.Context(), newFakeCardlog(), strings.NewReader(lines(rows...)), Options{Pace: 40, Progress: func(done, total int) {
			if since := time.Since(last); since < progressInterval && done < total {
				t.Errorf("told again after %v", since)
			}
			if total != 41 {
				t.Errorf("total is %d, want 41", total)
			}
			last = time.Now()
			told = append(told, done)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if report.PlayedSeconds < 0.99 || report.PlayedSeconds > 1.01 {
			t.Errorf("41 rows at 40 a second took %v s, want 1", report.PlayedSeconds)
		}
		if len(told) < 10 || !slices.IsSorted(told) || told[len(told)-1] != 41 {
			t.Errorf("progress: got %v, want it to rise to 41 in ten steps", told)
		}
	})
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file    string
		options Options
		message string
	}{
		"another file":         {"a,b\n", Options{}, "purchase-card file: line 1 is not the header"},
		"negative concurrency": {lines(), Options{Concurrency: -1}, "concurrency is -1"},
		"a negative limit":     {lines(), Options{CreditLimit: -1}, "credit limit is -1"},
		"a negative pace":      {lines(), Options{Pace: -1}, "pace is -1"},
		"sums past 64 bits": {
			lines(slices.Repeat([]string{row("1111", "-10000000000000.00")}, 9224)...), Options{}, "line 9225: the amounts up to here sum to more",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Run(t.Context(), newFakeCardlog(), strings.NewReader(test.file), test.options)
			if err == nil || !strings.Contains(err.Error(), test.message) || report != nil {
				t.Errorf("got report %v, error %v, want the error %s", report, err, test.message)
			}
		})
	}
}

func TestReadAccountsIsBounded(t *testing.T) {
	t.Parallel()
	file := lines(row("1111", "1.00"), "broken", row("1111", "1.00"))
	if _, _, err := readAccounts(t.Context(), strings.NewReader(file), newReport(), 2); err == nil || !strings.Contains(err.Error(), "more than 2 rows") {
		t.Errorf("got %v, want more than 2 rows", err)
	}
	if _, total, err := readAccounts(t.Context(), strings.NewReader(file), newReport(), 3); err != nil || total != 2 {
		t.Errorf("got %d rows, %v, want 2", total, err)
	}
}
