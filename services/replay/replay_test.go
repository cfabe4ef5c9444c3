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
	"google.golang.org/protobuf/types/known/durationpb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// fakeCardlog stands where the connection does and knows just enough of the contract: ids, limits and posted balances.
// What the real services do is tested with the real services.
type fakeCardlog struct {
	// refuse, if set, may answer a call with an error in its stead.
	refuse func(ctx context.Context, request proto.Message) error

	mu       sync.Mutex
	accounts map[string]*accountsv1.Account
	posted   map[string]int64
	requests map[string]proto.Message
	answers  map[string]proto.Message
	// calls are all calls that were let through, as "Present 1234 5.00".
	calls []string
}

func newFakeCardlog() *fakeCardlog {
	return &fakeCardlog{
		accounts: make(map[string]*accountsv1.Account),
		posted:   make(map[string]int64),
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
			f.accounts[r.GetAccountId()] = &accountsv1.Account{AccountId: r.GetAccountId(), CreditLimit: r.GetCreditLimit(), Sequence: 1}
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
		return f.once(call, r.GetCardId(), r, func() proto.Message { return &accountsv1.IssueCardResponse{CardNumber: "4111111111111111"} })
	case *transactionsv1.AuthorizeRequest:
		return f.once(call, r.GetTransactionId(), r, func() proto.Message {
			decision := f.decide(call, r.GetCardId(), r.GetAmount(), 0)
			account := "acct-" + r.GetCardId()[len("card-"):]
			if f.posted[account]+r.GetAmount().GetMinorUnits() > f.accounts[account].GetCreditLimit().GetMinorUnits() {
				decision.Outcome = typev1.Outcome_OUTCOME_DECLINED
				decision.DeclineReason = typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT
			}
			return &transactionsv1.AuthorizeResponse{Result: &transactionsv1.AuthorizeResponse_Decision{Decision: decision}}
		})
	case *transactionsv1.PresentRequest:
		return f.once(call, r.GetPresentmentId(), r, func() proto.Message {
			decision := f.decide(call, r.GetCardId(), r.GetAmount(), 1)
			return &transactionsv1.PresentResponse{Result: &transactionsv1.PresentResponse_Decision{Decision: decision}}
		})
	case *transactionsv1.RefundRequest:
		return f.once(call, r.GetRefundId(), r, func() proto.Message {
			return &transactionsv1.RefundResponse{Decision: f.decide(call, r.GetCardId(), r.GetAmount(), -1)}
		})
	case *transactionsv1.GetBalanceRequest:
		return &transactionsv1.GetBalanceResponse{Balances: &transactionsv1.Balances{Posted: money(f.posted[r.GetAccountId()], "GBP")}}, nil
	}
	return nil, status.Error(codes.Unimplemented, call)
}

// decide logs a command and posts sign times its amount.
func (f *fakeCardlog) decide(call, card string, amount *typev1.Money, sign int64) *transactionsv1.Decision {
	lastFour := strings.TrimPrefix(card, "card-")
	f.calls = append(f.calls, fmt.Sprintf("%s %s %s", call, lastFour, FormatMinor(amount.GetMinorUnits(), "")))
	f.posted["acct-"+lastFour] += sign * amount.GetMinorUnits()
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
	switch a := answer.(type) {
	case *accountsv1.OpenAccountResponse:
		a.Duplicate = true
	case interface {
		GetDecision() *transactionsv1.Decision
	}:
		a.GetDecision().Duplicate = true
	}
	return answer, nil
}

// row is a line of a file.
func row(lastFour, amount string) string {
	return fmt.Sprintf("2015-03-02,%s,merchant,%s,GBP,%s,GBP,Food", lastFour, amount, amount)
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
		"plays a file without rows": {change: func(r *Report) { *r = Report{} }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cardlog := newFakeCardlog()
				cardlog.refuse = test.refuse
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
