package feed

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// What must never be in a public event is planted in every sample that has a place for it.
const (
	plantedHolder      = "PLANTED-SEALED-HOLDER"
	plantedFingerprint = "PLANTED-FINGERPRINT"
	plantedLastFour    = "9753"
	plantedReason      = "planted reason: her husband called"
	plantedActor       = "planted.actor@bank.example"
	plantedDigest      = "PLANTED-DIGEST"
	plantedCountry     = "ZW"
	plantedRequest     = "planted-request"
)

// sample is a stored event, with the event that it is in public.
type sample struct {
	stream   string
	sequence uint64
	stored   stored
	// event is <service>.<event>.
	event string
	// note says what a sample shows, where an event has more than one.
	note string
}

// stored is any of the three kinds of stored events.
type stored interface {
	proto.Message
	GetEnvelope() *eventsv1.Envelope
}

// at is a time on the day of the samples.
func at(clock string) *timestamppb.Timestamp {
	t, err := time.Parse("2006-01-02 15:04:05.999999999", "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return timestamppb.New(t)
}

// days is a time some days later.
func days(t *timestamppb.Timestamp, n int) *timestamppb.Timestamp {
	return timestamppb.New(t.AsTime().AddDate(0, 0, n))
}

func gbp(minor int64) *typev1.Money {
	return &typev1.Money{CurrencyCode: "GBP", MinorUnits: minor}
}

func envelope(clock string, kind eventsv1.CommandKind, id string) *eventsv1.Envelope {
	return &eventsv1.Envelope{AccountId: "alice", PreviousSequence: 1, DecidedAt: at(clock), CommandKind: kind, CommandId: id,
		CommandDigest: []byte(plantedDigest), Actor: plantedActor}
}

// samples are stored events of every kind: one life of an account.
func samples() []sample {
	var all []sample
	all = append(all, accountSamples()...)
	all = append(all, controlSamples()...)
	all = append(all, paymentSamples()...)
	all = append(all, ledgerSamples()...)
	all = append(all, lifeSamples()...)
	all = append(all, correctionSamples()...)
	return append(all, ledgerPaymentSamples()...)
}

func snapshot(change func(*eventsv1.AccountSnapshot)) *eventsv1.AccountSnapshot {
	account := &eventsv1.AccountSnapshot{
		CreditLimit: gbp(100000), State: typev1.AccountState_ACCOUNT_STATE_OPEN, RulesProfile: "default",
		HomeCountryCode: plantedCountry, SealedHolder: []byte(plantedHolder), OpenedAt: at("09:00:00"), UpdatedAt: at("09:00:00"),
	}
	if change != nil {
		change(account)
	}
	return account
}

func storedCard(id string, state typev1.CardState, replaces string) *eventsv1.CardSnapshot {
	return &eventsv1.CardSnapshot{CardId: id, LastFour: plantedLastFour, NumberFingerprint: []byte(plantedFingerprint), State: state,
		ExpiryMonth: 11, ExpiryYear: 2030, ReplacesCardId: replaces}
}

func accountSamples() []sample {
	const active, paused, closed = typev1.CardState_CARD_STATE_ACTIVE, typev1.CardState_CARD_STATE_PAUSED, typev1.CardState_CARD_STATE_CLOSED
	cards := func(cards ...*eventsv1.CardSnapshot) *eventsv1.AccountSnapshot {
		return snapshot(func(a *eventsv1.AccountSnapshot) { a.Cards = cards })
	}
	made := func(sequence uint64, event, clock string, kind eventsv1.CommandKind, id string, stored *eventsv1.AccountEvent) sample {
		stored.Envelope = envelope(clock, kind, id)
		return sample{stream: "ACCOUNTS", sequence: sequence, event: "accounts." + event, stored: stored}
	}
	return []sample{
		made(1, "opened", "09:00:00", eventsv1.CommandKind_COMMAND_KIND_OPEN_ACCOUNT, "alice", &eventsv1.AccountEvent{Account: snapshot(nil),
			Fact: &eventsv1.AccountEvent_AccountOpened{AccountOpened: &eventsv1.AccountOpened{}}}),
		made(5, "limit_changed", "09:01:00", eventsv1.CommandKind_COMMAND_KIND_UPDATE_CREDIT_LIMIT, plantedRequest, &eventsv1.AccountEvent{
			Account: snapshot(func(a *eventsv1.AccountSnapshot) { a.CreditLimit = gbp(150000) }),
			Fact:    &eventsv1.AccountEvent_CreditLimitChanged{CreditLimitChanged: &eventsv1.CreditLimitChanged{PreviousCreditLimit: 100000}}}),
		made(6, "holder_updated", "09:02:00", eventsv1.CommandKind_COMMAND_KIND_UPDATE_HOLDER, plantedRequest, &eventsv1.AccountEvent{Account: snapshot(nil),
			Fact: &eventsv1.AccountEvent_HolderUpdated{HolderUpdated: &eventsv1.HolderUpdated{Paths: []string{"address", "phone_number"}}}}),
		made(7, "state_changed", "09:03:00", eventsv1.CommandKind_COMMAND_KIND_SET_ACCOUNT_STATE, plantedRequest, &eventsv1.AccountEvent{
			Account: snapshot(func(a *eventsv1.AccountSnapshot) { a.State = typev1.AccountState_ACCOUNT_STATE_SUSPENDED }),
			Fact: &eventsv1.AccountEvent_AccountStateChanged{AccountStateChanged: &eventsv1.AccountStateChanged{
				PreviousState: typev1.AccountState_ACCOUNT_STATE_OPEN, Reason: plantedReason}}}),
		made(2, "card_issued", "09:00:01", eventsv1.CommandKind_COMMAND_KIND_ISSUE_CARD, "alice-card", &eventsv1.AccountEvent{
			Account: cards(storedCard("alice-card", active, "")),
			Fact:    &eventsv1.AccountEvent_CardIssued{CardIssued: &eventsv1.CardIssued{CardId: "alice-card"}}}),
		made(8, "card_state_changed", "09:04:00", eventsv1.CommandKind_COMMAND_KIND_SET_CARD_STATE, plantedRequest, &eventsv1.AccountEvent{
			Account: cards(storedCard("alice-card", paused, "")),
			Fact: &eventsv1.AccountEvent_CardStateChanged{CardStateChanged: &eventsv1.CardStateChanged{
				CardId: "alice-card", PreviousState: active, Reason: plantedReason}}}),
		made(9, "card_replaced", "09:05:00", eventsv1.CommandKind_COMMAND_KIND_REPLACE_CARD, "alice-card-2", &eventsv1.AccountEvent{
			Account: cards(storedCard("alice-card", closed, ""), storedCard("alice-card-2", active, "alice-card")),
			Fact: &eventsv1.AccountEvent_CardReplaced{CardReplaced: &eventsv1.CardReplaced{
				CardId: "alice-card", NewCardId: "alice-card-2", Reason: plantedReason}}}),
	}
}

func storedPayment(status typev1.PaymentStatus, change func(*eventsv1.PaymentSnapshot)) *eventsv1.PaymentSnapshot {
	payment := &eventsv1.PaymentSnapshot{
		PaymentId: "november", Amount: gbp(5500), SourceType: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "alice-bank", Status: status,
		RulesProfile: "default", RulesVersion: "2026-11-01", CreatedAt: at("12:00:00"), UpdatedAt: at("12:00:00"), FirstSequence: 3,
	}
	switch status {
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED, typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:
		payment.SubmittedAt, payment.ReleaseAt, payment.Withheld = at("12:00:00"), days(at("12:00:00"), 3), 5500
	default: // it was never taken
	}
	if change != nil {
		change(payment)
	}
	return payment
}

func paymentSamples() []sample {
	const (
		submit    = eventsv1.CommandKind_COMMAND_KIND_SUBMIT_PAYMENT
		submitted = typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED
		held      = typev1.PaymentStatus_PAYMENT_STATUS_HELD
	)
	made := func(sequence uint64, event, clock string, kind eventsv1.CommandKind, stored *eventsv1.PaymentEvent) sample {
		id := plantedRequest
		if kind == submit {
			id = stored.GetPayment().GetPaymentId()
		}
		stored.Envelope = envelope(clock, kind, id)
		return sample{stream: "PAYMENTS", sequence: sequence, event: "payments." + event, stored: stored}
	}
	large := func(p *eventsv1.PaymentSnapshot) {
		p.PaymentId, p.Amount, p.CreatedAt = "windfall", gbp(600000), at("12:10:00")
		p.HoldReasons = []typev1.HoldReason{typev1.HoldReason_HOLD_REASON_LARGE_AMOUNT, typev1.HoldReason_HOLD_REASON_NEW_SOURCE}
	}
	checks := func(owed int64, checks ...*eventsv1.PaymentCheck) *eventsv1.PaymentAssessment {
		return &eventsv1.PaymentAssessment{Owed: owed, LedgerSequence: 20, AccountState: typev1.AccountState_ACCOUNT_STATE_OPEN, Checks: append([]*eventsv1.PaymentCheck{
			{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_ACCOUNT_STATE, Seen: 1},
		}, checks...)}
	}
	return []sample{
		made(1, "submitted", "12:00:00", submit, &eventsv1.PaymentEvent{Payment: storedPayment(submitted, nil),
			Assessment: checks(5500, &eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_OWED, Seen: 5500, Bound: 5500}),
			Fact:       &eventsv1.PaymentEvent_Submitted{Submitted: &eventsv1.PaymentSubmitted{}}}),
		made(2, "held", "12:10:00", submit, &eventsv1.PaymentEvent{Payment: storedPayment(held, large),
			Assessment: checks(700000,
				&eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_OWED, Seen: 600000, Bound: 700000},
				&eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_AMOUNT, Fired: true, Seen: 600000, Bound: 500000},
				&eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_NEW_SOURCE, Fired: true, Seen: 600000, Bound: 100000}),
			Fact: &eventsv1.PaymentEvent_Held{Held: &eventsv1.PaymentHeld{}}}),
		made(3, "rejected", "12:20:00", submit, &eventsv1.PaymentEvent{
			Payment: storedPayment(typev1.PaymentStatus_PAYMENT_STATUS_REJECTED, func(p *eventsv1.PaymentSnapshot) {
				p.PaymentId, p.CreatedAt = "too-much", at("12:20:00")
				p.RejectReason = typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_MORE_THAN_OWED
			}),
			Assessment: checks(4000, &eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_OWED, Fired: true, Seen: 5500, Bound: 4000}),
			Fact:       &eventsv1.PaymentEvent_Rejected{Rejected: &eventsv1.PaymentRejected{}}}),
		made(4, "released", "12:30:00", eventsv1.CommandKind_COMMAND_KIND_RELEASE_PAYMENT, &eventsv1.PaymentEvent{
			Payment: storedPayment(submitted, func(p *eventsv1.PaymentSnapshot) {
				large(p)
				p.SubmittedAt, p.ReleaseAt, p.Withheld = at("12:30:00"), days(at("12:30:00"), 3), 600000
			}),
			Fact: &eventsv1.PaymentEvent_Released{Released: &eventsv1.PaymentReleased{}}}),
		made(5, "cancelled", "12:40:00", eventsv1.CommandKind_COMMAND_KIND_CANCEL_PAYMENT, &eventsv1.PaymentEvent{
			Payment: storedPayment(typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED, func(p *eventsv1.PaymentSnapshot) {
				large(p)
				p.Reason = plantedReason
			}),
			Fact: &eventsv1.PaymentEvent_Cancelled{Cancelled: &eventsv1.PaymentCancelled{}}}),
		made(6, "returned", "12:50:00", eventsv1.CommandKind_COMMAND_KIND_RETURN_PAYMENT, &eventsv1.PaymentEvent{
			Payment: storedPayment(typev1.PaymentStatus_PAYMENT_STATUS_RETURNED, func(p *eventsv1.PaymentSnapshot) {
				p.ReturnCode, p.Reason, p.Withheld = "R01", plantedReason, 0
			}),
			Fact: &eventsv1.PaymentEvent_Returned{Returned: &eventsv1.PaymentReturned{}}}),
		made(7, "withholding_ended", "13:00:00", eventsv1.CommandKind_COMMAND_KIND_RELEASE_PAYMENT, &eventsv1.PaymentEvent{
			Payment: storedPayment(submitted, func(p *eventsv1.PaymentSnapshot) { p.Withheld = 0 }),
			Fact:    &eventsv1.PaymentEvent_WithholdingEnded{WithholdingEnded: &eventsv1.PaymentWithholdingEnded{Amount: 5500}}}),
	}
}

func ledgerBalances(limit, posted, pending, withheld int64) *eventsv1.LedgerBalances {
	return &eventsv1.LedgerBalances{CurrencyCode: "GBP", CreditLimit: limit, Posted: posted, Pending: pending, Withheld: withheld,
		Available: limit - posted - pending - withheld}
}

func inLedger(sequence uint64, event, clock string, kind eventsv1.CommandKind, id string, stored *eventsv1.LedgerEvent) sample {
	stored.Envelope = envelope(clock, kind, id)
	return sample{stream: "LEDGER_00", sequence: sequence, event: "transactions." + event, stored: stored}
}

func storedTransaction(id string, authorization typev1.Outcome, change func(*eventsv1.TransactionRecord)) *eventsv1.TransactionRecord {
	record := &eventsv1.TransactionRecord{TransactionId: id, CardId: "alice-card", OpenedAt: at("10:00:00.25"), AuthorizationOutcome: authorization,
		Merchant: &typev1.Merchant{Name: "Marks & Sons", MerchantId: "M-1029384756", Mcc: "5812", CountryCode: "GB", PostalCode: "B1 1BB"}}
	if change != nil {
		change(record)
	}
	return record
}

// checks are those of an authorization, the last of which has failed or not.
func checks(seen, bound int64, failed bool) []*eventsv1.CheckRecord {
	limit := &eventsv1.CheckRecord{Kind: typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, Seen: seen, Bound: bound, Failed: failed}
	if failed {
		limit.DeclineReason = typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT
	}
	return []*eventsv1.CheckRecord{
		{Kind: typev1.CheckKind_CHECK_KIND_MESSAGE_AGE, Seen: 1, Bound: 3888000},
		{Kind: typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE, Seen: 1, Bound: 1},
		{Kind: typev1.CheckKind_CHECK_KIND_CARD_STATE, Seen: 2, Bound: 2},
		{Kind: typev1.CheckKind_CHECK_KIND_CARD_EXPIRY, Seen: 202611, Bound: 203011},
		{Kind: typev1.CheckKind_CHECK_KIND_CURRENCY, SeenCode: "GBP", BoundCode: "GBP"},
		{Kind: typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY, SeenCode: "GB"},
		{Kind: typev1.CheckKind_CHECK_KIND_MCC, SeenCode: "5812"},
		{Kind: typev1.CheckKind_CHECK_KIND_MERCHANT, SeenCode: "M-1029384756"},
		limit,
	}
}

func request(amount int64) *eventsv1.AuthorizationRequest {
	return &eventsv1.AuthorizationRequest{Amount: amount, CurrencyCode: "GBP", EntryMode: typev1.EntryMode_ENTRY_MODE_CHIP,
		Network: &typev1.NetworkMessage{Network: "visa", AcquirerId: "404040", Stan: "000123", Rrn: "632710000123", TransmittedAt: at("09:59:59")}}
}

func ledgerSamples() []sample {
	const (
		authorize, follow = eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE, eventsv1.CommandKind_COMMAND_KIND_FOLLOW_ACCOUNTS
		approved          = typev1.Outcome_OUTCOME_APPROVED
	)
	recorded := func(moved, held int64) *eventsv1.DecisionRecord {
		return &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_RECORDED, ResponseCode: "00", ApprovedAmount: moved, HeldAmount: held}
	}
	dinner := func(change func(*eventsv1.TransactionRecord)) *eventsv1.TransactionRecord {
		return storedTransaction("dinner", approved, func(r *eventsv1.TransactionRecord) {
			r.Authorized, r.ExpiresAt = 4500, days(at("10:00:00.25"), 7)
			change(r)
		})
	}
	all := []sample{
		inLedger(1, "account_opened", "09:00:00.003", follow, "accounts-1", &eventsv1.LedgerEvent{Balances: ledgerBalances(100000, 0, 0, 0),
			Fact: &eventsv1.LedgerEvent_LedgerOpened{LedgerOpened: &eventsv1.LedgerOpened{AccountsSequence: 1, CurrencyCode: "GBP", CreditLimit: 100000,
				State: typev1.AccountState_ACCOUNT_STATE_OPEN, RulesProfile: "default", HomeCountryCode: plantedCountry}}}),
		inLedger(12, "limit_changed", "09:01:00.003", follow, "accounts-5", &eventsv1.LedgerEvent{Balances: ledgerBalances(150000, 0, 0, 0),
			Fact: &eventsv1.LedgerEvent_LimitChanged{LimitChanged: &eventsv1.LimitChanged{AccountsSequence: 5, PreviousCreditLimit: 100000, CreditLimit: 150000}}}),
		inLedger(13, "account_changed", "09:03:00.003", follow, "accounts-7", &eventsv1.LedgerEvent{Balances: ledgerBalances(150000, 0, 0, 0),
			Fact: &eventsv1.LedgerEvent_AccountChanged{AccountChanged: &eventsv1.AccountChanged{AccountsSequence: 7,
				State: typev1.AccountState_ACCOUNT_STATE_SUSPENDED, HomeCountryCode: plantedCountry}}}),
		inLedger(14, "card_changed", "09:05:00.003", follow, "accounts-9", &eventsv1.LedgerEvent{Balances: ledgerBalances(150000, 0, 0, 0),
			Fact: &eventsv1.LedgerEvent_CardChanged{CardChanged: &eventsv1.CardChanged{AccountsSequence: 9, Cards: []*eventsv1.LedgerCard{
				{CardId: "alice-card", State: typev1.CardState_CARD_STATE_CLOSED, ExpiryMonth: 11, ExpiryYear: 2030},
				{CardId: "alice-card-2", State: typev1.CardState_CARD_STATE_ACTIVE, ExpiryMonth: 11, ExpiryYear: 2030, ReplacesCardId: "alice-card"}}}}}),
		inLedger(3, "authorization_approved", "10:00:00.25", authorize, "dinner", &eventsv1.LedgerEvent{Balances: ledgerBalances(100000, 0, 4500, 0),
			Transaction: dinner(func(r *eventsv1.TransactionRecord) { r.Held = 4500 }),
			Decision: &eventsv1.DecisionRecord{Outcome: approved, ResponseCode: "00", ApprovalCode: "7KD42P", ApprovedAmount: 4500, HeldAmount: 4500,
				RulesProfile: "default", RulesVersion: "2026-11-01", Checks: checks(4500, 100000, false)},
			Fact: &eventsv1.LedgerEvent_AuthorizationApproved{AuthorizationApproved: &eventsv1.AuthorizationApproved{Request: request(4500)}}}),
		inLedger(4, "authorization_approved", "10:01:00", authorize, "check", &eventsv1.LedgerEvent{Balances: ledgerBalances(100000, 0, 4500, 0),
			Transaction: storedTransaction("check", typev1.Outcome_OUTCOME_VERIFIED, func(r *eventsv1.TransactionRecord) { r.OpenedAt, r.Merchant = at("10:01:00"), nil }),
			Decision: &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_VERIFIED, ResponseCode: "85", ApprovalCode: "Q2M0XA",
				RulesProfile: "default", RulesVersion: "2026-11-01", Checks: checks(4500, 100000, false)},
			Fact: &eventsv1.LedgerEvent_AuthorizationApproved{AuthorizationApproved: &eventsv1.AuthorizationApproved{
				Request: &eventsv1.AuthorizationRequest{CurrencyCode: "GBP", EntryMode: typev1.EntryMode_ENTRY_MODE_ECOMMERCE}}}}),
		inLedger(5, "authorization_declined", "10:02:00", authorize, "yacht", &eventsv1.LedgerEvent{Balances: ledgerBalances(100000, 0, 4500, 0),
			Transaction: storedTransaction("yacht", typev1.Outcome_OUTCOME_DECLINED, func(r *eventsv1.TransactionRecord) { r.OpenedAt = at("10:02:00") }),
			Decision: &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_DECLINED, ResponseCode: "51", RulesProfile: "default", RulesVersion: "2026-11-01",
				DeclineReason: typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT, Checks: checks(954500, 100000, true)},
			Fact: &eventsv1.LedgerEvent_AuthorizationDeclined{AuthorizationDeclined: &eventsv1.AuthorizationDeclined{Request: request(950000)}}}),
		inLedger(6, "authorization_reversed", "10:03:00", eventsv1.CommandKind_COMMAND_KIND_REVERSE_AUTHORIZATION, "dinner-less-wine", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 3500, 0), Decision: recorded(1000, 3500),
			Transaction: dinner(func(r *eventsv1.TransactionRecord) { r.Held, r.Reversed = 3500, 1000 }),
			Fact: &eventsv1.LedgerEvent_AuthorizationReversed{AuthorizationReversed: &eventsv1.AuthorizationReversed{
				RequestedAmount: 1000, ReleasedAmount: 1000}}}),
		inLedger(9, "authorization_expired", "10:06:00", eventsv1.CommandKind_COMMAND_KIND_EXPIRE, "expire-hotel-1", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 4000, 0, 0),
			Transaction: storedTransaction("hotel", approved, func(r *eventsv1.TransactionRecord) {
				r.OpenedAt, r.Authorized, r.Expired, r.Expiries, r.ExpiresAt = days(at("10:05:59"), -7), 20000, 20000, 1, at("10:05:59")
			}),
			Fact: &eventsv1.LedgerEvent_AuthorizationExpired{AuthorizationExpired: &eventsv1.AuthorizationExpired{ReleasedAmount: 20000, DueAt: at("10:05:59")}}}),
		inLedger(7, "presentment_posted", "10:04:00", eventsv1.CommandKind_COMMAND_KIND_PRESENT, "dinner-clearing", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 5500, 0, 0),
			Decision: &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_RECORDED, ResponseCode: "00", ApprovedAmount: 5500, OverCaptureAmount: 2000},
			Transaction: dinner(func(r *eventsv1.TransactionRecord) {
				r.Reversed, r.Cleared, r.FinalPresented = 1000, 5500, true
			}),
			Fact: &eventsv1.LedgerEvent_PresentmentPosted{PresentmentPosted: &eventsv1.PresentmentPosted{
				Amount: 5500, ReleasedAmount: 3500, PresentedAt: at("10:03:30")}}}),
		inLedger(8, "refund_posted", "10:05:00", eventsv1.CommandKind_COMMAND_KIND_REFUND, "dinner-refund", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 4000, 0, 0), Decision: recorded(1500, 0),
			Transaction: dinner(func(r *eventsv1.TransactionRecord) {
				r.Reversed, r.Cleared, r.Refunded, r.FinalPresented = 1000, 5500, 1500, true
			}),
			Fact: &eventsv1.LedgerEvent_RefundPosted{RefundPosted: &eventsv1.RefundPosted{Amount: 1500}}}),
		inLedger(10, "rejected", "10:07:00", eventsv1.CommandKind_COMMAND_KIND_REVERSE_AUTHORIZATION, "hotel-reversal", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 4000, 0, 0),
			Decision: &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_REJECTED, ResponseCode: "21",
				RejectionReason: typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE},
			Transaction: storedTransaction("hotel", approved, func(r *eventsv1.TransactionRecord) {
				r.OpenedAt, r.Authorized, r.Expired, r.Expiries, r.ExpiresAt = days(at("10:05:59"), -7), 20000, 20000, 1, at("10:05:59")
			}),
			Fact: &eventsv1.LedgerEvent_CommandRejected{CommandRejected: &eventsv1.CommandRejected{RequestedAmount: 20000}}}),
	}
	all[5].note = "A card verification: amount zero, nothing moves."
	return all
}

func ledgerPaymentSamples() []sample {
	const follow = eventsv1.CommandKind_COMMAND_KIND_FOLLOW_PAYMENTS
	november := func(returned, withheld int64) *eventsv1.TransactionRecord {
		return &eventsv1.TransactionRecord{TransactionId: "november", OpenedAt: at("12:00:00.004"), ExpiresAt: days(at("12:00:00"), 3),
			Paid: 5500, Returned: returned, Withheld: withheld}
	}
	return []sample{
		inLedger(15, "payment_posted", "12:00:00.004", follow, "payments-1", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(150000, -1500, 0, 5500), Transaction: november(0, 5500),
			Fact: &eventsv1.LedgerEvent_PaymentPosted{PaymentPosted: &eventsv1.PaymentPosted{PaymentsSequence: 1, Amount: 5500, WithheldAmount: 5500}}}),
		inLedger(16, "payment_returned", "12:50:00.004", follow, "payments-6", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(150000, 4000, 0, 0), Transaction: november(5500, 0),
			Fact: &eventsv1.LedgerEvent_PaymentReturned{PaymentReturned: &eventsv1.PaymentReturnPosted{
				PaymentsSequence: 6, Amount: 5500, ReleasedAmount: 5500, ReturnCode: "R01"}}}),
		inLedger(17, "withholding_ended", "13:00:00.004", follow, "payments-7", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(150000, -1500, 0, 0), Transaction: november(0, 0),
			Fact: &eventsv1.LedgerEvent_WithholdingEnded{WithholdingEnded: &eventsv1.WithholdingEnded{PaymentsSequence: 7, ReleasedAmount: 5500}}}),
	}
}

// strict are spending controls of every kind.
func strict() *typev1.SpendingControls {
	return &typev1.SpendingControls{
		MaxAmount: gbp(20000), AllowedMccs: []string{"5411", "5812"}, BlockedMccs: []string{"7995"},
		AllowedCountries: []string{"GB", "IE"}, BlockedCountries: []string{"US"}, LockToFirstMerchant: true, SingleUse: true,
		Limits: []*typev1.SpendingLimit{
			{Period: &typev1.SpendingLimit_Window{Window: typev1.Window_WINDOW_MONTH}, MaxAmount: gbp(80000), MaxCount: 40},
			{Period: &typev1.SpendingLimit_TrailingHours{TrailingHours: 24}, MaxCount: 5},
		},
	}
}

func controlSamples() []sample {
	const set, follow = eventsv1.CommandKind_COMMAND_KIND_SET_SPENDING_CONTROLS, eventsv1.CommandKind_COMMAND_KIND_FOLLOW_ACCOUNTS
	active := typev1.CardState_CARD_STATE_ACTIVE
	ofCard, ofAccount := snapshot(nil), snapshot(func(a *eventsv1.AccountSnapshot) {
		a.Controls = &typev1.SpendingControls{LockedMerchantId: "M-1029384756"}
	})
	ofCard.Cards = []*eventsv1.CardSnapshot{storedCard("alice-card-2", active, "alice-card")}
	ofCard.Cards[0].Controls = strict()
	all := []sample{
		{stream: "ACCOUNTS", sequence: 10, event: "accounts.spending_controls_set", note: "A card's.", stored: &eventsv1.AccountEvent{
			Envelope: envelope("09:06:00", set, plantedRequest), Account: ofCard,
			Fact: &eventsv1.AccountEvent_SpendingControlsSet{SpendingControlsSet: &eventsv1.SpendingControlsSet{CardId: "alice-card-2"}}}},
		{stream: "ACCOUNTS", sequence: 11, event: "accounts.spending_controls_set", note: "The account's.", stored: &eventsv1.AccountEvent{
			Envelope: envelope("09:07:00", set, plantedRequest), Account: ofAccount,
			Fact: &eventsv1.AccountEvent_SpendingControlsSet{SpendingControlsSet: &eventsv1.SpendingControlsSet{}}}},
		inLedger(18, "card_changed", "09:06:00.003", follow, "accounts-10", &eventsv1.LedgerEvent{Balances: ledgerBalances(150000, 0, 0, 0),
			Fact: &eventsv1.LedgerEvent_CardChanged{CardChanged: &eventsv1.CardChanged{AccountsSequence: 10, Cards: []*eventsv1.LedgerCard{
				{CardId: "alice-card-2", State: active, ExpiryMonth: 11, ExpiryYear: 2030, ReplacesCardId: "alice-card", Controls: strict()}}}}}),
		inLedger(19, "account_changed", "09:07:00.003", follow, "accounts-11", &eventsv1.LedgerEvent{Balances: ledgerBalances(150000, 0, 0, 0),
			Fact: &eventsv1.LedgerEvent_AccountChanged{AccountChanged: &eventsv1.AccountChanged{AccountsSequence: 11,
				State: typev1.AccountState_ACCOUNT_STATE_OPEN, HomeCountryCode: plantedCountry, Controls: ofAccount.GetControls()}}}),
	}
	all[2].note, all[3].note = "A card's spending controls were set.", "The account's spending controls were set."
	return all
}

func message(stan string) *typev1.NetworkMessage {
	return &typev1.NetworkMessage{Network: "visa", AcquirerId: "404040", Stan: stan, Rrn: "632710000777", TransmittedAt: at("14:00:00")}
}

// lifeSamples are a stay at a hotel: estimated, raised, told to be complete, late.
func lifeSamples() []sample {
	const (
		approved  = typev1.Outcome_OUTCOME_APPROVED
		increment = eventsv1.CommandKind_COMMAND_KIND_INCREMENT_AUTHORIZATION
	)
	stay := func(change func(*eventsv1.TransactionRecord)) *eventsv1.TransactionRecord {
		return storedTransaction("stay", approved, func(r *eventsv1.TransactionRecord) {
			r.OpenedAt, r.PreAuthorization, r.ExpiresAt = at("14:00:00"), true, days(at("14:00:00"), 30)
			r.Merchant = &typev1.Merchant{Name: "Grand Hotel", MerchantId: "M-77", Mcc: "7011", CountryCode: "GB"}
			change(r)
		})
	}
	decided := func(outcome typev1.Outcome, code string, amount, held int64, checks []*eventsv1.CheckRecord) *eventsv1.DecisionRecord {
		return &eventsv1.DecisionRecord{Outcome: outcome, ResponseCode: code, ApprovedAmount: amount, HeldAmount: held,
			RulesProfile: "default", RulesVersion: "2026-11-01", Checks: checks}
	}
	estimate := decided(approved, "00", 20000, 24000, checks(24000, 100000, false))
	estimate.ApprovalCode, estimate.HoldExpiryRule, estimate.HoldAmountRule = "9XK2PM", "mcc 7011: 30 days", "mcc 7011: 20 percent more"
	tooMuch := decided(typev1.Outcome_OUTCOME_DECLINED, "61", 0, 29000, append(checks(79000, 100000, false),
		&eventsv1.CheckRecord{Kind: typev1.CheckKind_CHECK_KIND_WINDOW_AMOUNT, Scope: typev1.CheckScope_CHECK_SCOPE_CARD, Window: typev1.Window_WINDOW_MONTH,
			Seen: 85000, Bound: 80000, Failed: true, DeclineReason: typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED},
		&eventsv1.CheckRecord{Kind: typev1.CheckKind_CHECK_KIND_WINDOW_COUNT, Scope: typev1.CheckScope_CHECK_SCOPE_ACCOUNT, TrailingHours: 24,
			Seen: 6, Bound: 5, Failed: true, DeclineReason: typev1.DeclineReason_DECLINE_REASON_COUNT_LIMIT_EXCEEDED},
		&eventsv1.CheckRecord{Kind: typev1.CheckKind_CHECK_KIND_MERCHANT_LOCK, Scope: typev1.CheckScope_CHECK_SCOPE_CARD,
			SeenCode: "M-77", BoundCode: "M-1029384756", Failed: true, DeclineReason: typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED}))
	tooMuch.DeclineReason = typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED
	late := decided(typev1.Outcome_OUTCOME_RECORDED, "00", 31000, 0, nil)
	late.OverCaptureAmount, late.OverCaptureTolerated, late.Late, late.DaysLate = 1000, true, true, 3
	capped := decided(typev1.Outcome_OUTCOME_RECORDED, "00", 30000, 0, nil)
	capped.ReversalCapped = true
	asked := request(20000)
	asked.PreAuthorization = true
	all := []sample{
		inLedger(20, "authorization_approved", "14:00:00", eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE, "stay", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 24000, 0), Decision: estimate,
			Transaction: stay(func(r *eventsv1.TransactionRecord) { r.Authorized, r.Held, r.HoldSurplus = 20000, 24000, 4000 }),
			Fact:        &eventsv1.LedgerEvent_AuthorizationApproved{AuthorizationApproved: &eventsv1.AuthorizationApproved{Request: asked, AlreadyHeld: 1500}}}),
		inLedger(21, "authorization_incremented", "14:01:00", increment, "second-night", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 29000, 0), Decision: decided(approved, "00", 5000, 29000, checks(29000, 100000, false)),
			Transaction: stay(func(r *eventsv1.TransactionRecord) { r.Authorized, r.Held, r.HoldSurplus = 25000, 29000, 4000 }),
			Fact: &eventsv1.LedgerEvent_AuthorizationIncremented{AuthorizationIncremented: &eventsv1.AuthorizationIncremented{
				Request: &eventsv1.IncrementRequest{Amount: 5000, CurrencyCode: "GBP", Network: message("000778")}, AddedAmount: 5000, Reopened: true}}}),
		inLedger(22, "increment_declined", "14:02:00", increment, "a-week", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 29000, 0), Decision: tooMuch,
			Transaction: stay(func(r *eventsv1.TransactionRecord) { r.Authorized, r.Held, r.HoldSurplus = 25000, 29000, 4000 }),
			Fact: &eventsv1.LedgerEvent_IncrementDeclined{IncrementDeclined: &eventsv1.IncrementDeclined{
				Request: &eventsv1.IncrementRequest{Amount: 50000, CurrencyCode: "GBP", Network: message("000779")}}}}),
		inLedger(23, "authorization_advised", "14:03:00", eventsv1.CommandKind_COMMAND_KIND_ADVISE_AUTHORIZATION, "checked-out", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 30000, 0), Decision: decided(typev1.Outcome_OUTCOME_RECORDED, "00", 30000, 30000, nil),
			Transaction: stay(func(r *eventsv1.TransactionRecord) { r.Authorized, r.Held, r.Completed = 30000, 30000, true }),
			Fact: &eventsv1.LedgerEvent_AuthorizationAdvised{AuthorizationAdvised: &eventsv1.AuthorizationAdvised{
				Kind: typev1.AdviceKind_ADVICE_KIND_COMPLETION, Amount: 30000, HeldChange: 1000, Network: message("000780")}}}),
		inLedger(24, "authorization_reversed", "14:04:00", eventsv1.CommandKind_COMMAND_KIND_REVERSE_AUTHORIZATION, "released", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 0, 0), Decision: capped,
			Transaction: stay(func(r *eventsv1.TransactionRecord) {
				r.Authorized, r.Reversed, r.ReversedInFull, r.Completed = 30000, 30000, true, true
			}),
			Fact: &eventsv1.LedgerEvent_AuthorizationReversed{AuthorizationReversed: &eventsv1.AuthorizationReversed{
				RequestedAmount: 40000, ReleasedAmount: 30000, Network: message("000781")}}}),
		inLedger(25, "presentment_posted", "14:05:00", eventsv1.CommandKind_COMMAND_KIND_PRESENT, "stay-clearing", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 31000, 0, 0), Decision: late,
			Transaction: stay(func(r *eventsv1.TransactionRecord) {
				r.Authorized, r.Reversed, r.ReversedInFull, r.Cleared, r.Completed, r.FinalPresented = 30000, 30000, true, 31000, true, true
			}),
			Fact: &eventsv1.LedgerEvent_PresentmentPosted{PresentmentPosted: &eventsv1.PresentmentPosted{Amount: 31000, PresentedAt: at("14:04:30")}}}),
	}
	all[0].note, all[4].note, all[5].note = "A pre-authorization: more is held than was asked.", "More was to be released than was held.", "Late, and above the hold, within what is normal."
	return all
}

// correctionSamples take back what was posted.
func correctionSamples() []sample {
	recorded := func(amount int64) *eventsv1.DecisionRecord {
		return &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_RECORDED, ResponseCode: "00", ApprovedAmount: amount}
	}
	chair := func(change func(*eventsv1.TransactionRecord)) *eventsv1.TransactionRecord {
		return storedTransaction("chair", typev1.Outcome_OUTCOME_APPROVED, func(r *eventsv1.TransactionRecord) {
			r.OpenedAt, r.Authorized, r.Cleared, r.FinalPresented = at("15:00:00"), 9000, 9000, true
			change(r)
		})
	}
	credit := request(9000)
	credit.Refund = true
	all := []sample{
		inLedger(26, "authorization_approved", "15:00:00", eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE, "chair-return", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 9000, 0, 0),
			Transaction: storedTransaction("chair-return", typev1.Outcome_OUTCOME_APPROVED, func(r *eventsv1.TransactionRecord) {
				r.OpenedAt, r.MerchantCredit, r.RefundAuthorized = at("15:00:00"), true, 9000
			}),
			Decision: &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_APPROVED, ResponseCode: "00", ApprovalCode: "B0DZ4Q", ApprovedAmount: 9000,
				RulesProfile: "default", RulesVersion: "2026-11-01"},
			Fact: &eventsv1.LedgerEvent_AuthorizationApproved{AuthorizationApproved: &eventsv1.AuthorizationApproved{Request: credit}}}),
		inLedger(27, "dispute_credited", "15:01:00", eventsv1.CommandKind_COMMAND_KIND_CREDIT_DISPUTE, "wobbly-chair", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 0, 0), Decision: recorded(9000), Transaction: chair(func(r *eventsv1.TransactionRecord) { r.Disputed = 9000 }),
			Fact: &eventsv1.LedgerEvent_DisputeCredited{DisputeCredited: &eventsv1.DisputeCredited{DisputeId: "wobbly-chair", Amount: 9000}}}),
		inLedger(28, "dispute_credit_reversed", "15:02:00", eventsv1.CommandKind_COMMAND_KIND_REVERSE_DISPUTE_CREDIT, "wobbly-chair", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 9000, 0, 0), Decision: recorded(9000), Transaction: chair(func(*eventsv1.TransactionRecord) {}),
			Fact: &eventsv1.LedgerEvent_DisputeCreditReversed{DisputeCreditReversed: &eventsv1.DisputeCreditReversed{
				DisputeId: "wobbly-chair", CreditSequence: 27, Amount: 9000}}}),
		inLedger(29, "presentment_reversed", "15:03:00", eventsv1.CommandKind_COMMAND_KIND_REVERSE_PRESENTMENT, "chair-taken-back", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 0, 0, 0), Decision: recorded(9000),
			Transaction: chair(func(r *eventsv1.TransactionRecord) { r.Cleared, r.ClearingReversed = 0, 9000 }),
			Fact: &eventsv1.LedgerEvent_PresentmentReversed{PresentmentReversed: &eventsv1.PresentmentReversed{
				PresentmentId: "chair-clearing", PresentmentSequence: 26, Amount: 9000}}}),
		inLedger(30, "refund_reversed", "15:04:00", eventsv1.CommandKind_COMMAND_KIND_REVERSE_REFUND, "refund-taken-back", &eventsv1.LedgerEvent{
			Balances: ledgerBalances(100000, 5500, 0, 0), Decision: recorded(1500),
			Transaction: storedTransaction("dinner", typev1.Outcome_OUTCOME_APPROVED, func(r *eventsv1.TransactionRecord) {
				r.Authorized, r.Reversed, r.Cleared, r.RefundReversed, r.FinalPresented = 4500, 1000, 5500, 1500, true
			}),
			Fact: &eventsv1.LedgerEvent_RefundReversed{RefundReversed: &eventsv1.RefundReversed{RefundId: "dinner-refund", RefundSequence: 8, Amount: 1500}}}),
	}
	all[0].note = "A merchant credit: nothing moves until it is refunded."
	return all
}
