package main

import (
	"context"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/telemetry"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// journalLine is what the journal says of the events of a service.
type journalLine[E engine.Event] struct {
	// facts adds what every line has.
	facts func(attrs []slog.Attr, event E) []slog.Attr
	// state is what a line of level debug has, too.
	state func(event E) proto.Message
}

// journal has a line written for each event of a service; nil where there is no journal. Amounts are in minor units. Free text that a caller gave is left out,
// for it may name people.
func journal[E engine.Event](to *telemetry.Journal, line journalLine[E]) engine.Journal[E] {
	if to == nil {
		return nil
	}
	return func(entries []engine.Entry[E]) {
		to.Add(len(entries), func(ctx context.Context, logger *slog.Logger) { line.write(ctx, logger, entries) })
	}
}

// attrsBound is how many attributes a line has room for before it must be made larger.
const attrsBound = 20

func (l journalLine[E]) write(ctx context.Context, logger *slog.Logger, entries []engine.Entry[E]) {
	attrs := make([]slog.Attr, 0, attrsBound)
	level := slog.LevelInfo
	if logger.Enabled(ctx, slog.LevelDebug) {
		level = slog.LevelDebug
	}
	for _, entry := range entries {
		envelope := entry.Event.GetEnvelope()
		attrs = append(attrs[:0], slog.String("account", envelope.GetAccountId()), slog.String("event", engine.FactName(entry.Event)))
		attrs = append(l.facts(attrs, entry.Event), slog.Uint64("sequence", entry.Sequence))
		if entry.Took > 0 {
			attrs = append(attrs, slog.Duration("took", entry.Took))
		}
		if level == slog.LevelDebug {
			text, _ := protojson.MarshalOptions{UseProtoNames: true}.Marshal(l.state(entry.Event)) // a stored message can be encoded
			attrs = append(attrs, slog.String("state", string(text)))
		}
		switch envelope.GetCommandKind() {
		case eventsv1.CommandKind_COMMAND_KIND_EXPIRE, eventsv1.CommandKind_COMMAND_KIND_END_WITHHOLDING,
			eventsv1.CommandKind_COMMAND_KIND_FOLLOW_ACCOUNTS, eventsv1.CommandKind_COMMAND_KIND_FOLLOW_PAYMENTS:
			logger.LogAttrs(ctx, level, "applied", attrs...)
		default: // a caller's command
			logger.LogAttrs(ctx, level, "decided", attrs...)
		}
	}
}

// What the journal says of the events of each service.
var (
	ledgerLine  = journalLine[*eventsv1.LedgerEvent]{facts: ledgerFacts, state: ledgerState}
	paymentLine = journalLine[*eventsv1.PaymentEvent]{facts: paymentFacts, state: paymentState}
	accountLine = journalLine[*eventsv1.AccountEvent]{facts: accountFacts, state: accountState}
)

func ledgerFacts(facts []slog.Attr, event *eventsv1.LedgerEvent) []slog.Attr {
	facts = append(facts, slog.String("service", string(transactionsName)))
	if transaction := event.GetTransaction(); transaction != nil {
		facts = append(facts, slog.String("transaction", transaction.GetTransactionId()), slog.Int64("amount", ledger.AmountOf(event)))
	}
	if decision := event.GetDecision(); decision != nil {
		facts = append(facts, slog.String("outcome", strings.TrimPrefix(decision.GetOutcome().String(), "OUTCOME_")))
		if decision.GetDeclineReason() != typev1.DeclineReason_DECLINE_REASON_UNSPECIFIED {
			facts = append(facts, slog.String("reason", strings.TrimPrefix(decision.GetDeclineReason().String(), "DECLINE_REASON_")))
		}
		if decision.GetRejectionReason() != typev1.RejectionReason_REJECTION_REASON_UNSPECIFIED {
			facts = append(facts, slog.String("reason", strings.TrimPrefix(decision.GetRejectionReason().String(), "REJECTION_REASON_")))
		}
	}
	after := event.GetBalances()
	return append(facts, slog.String("currency", after.GetCurrencyCode()), slog.Int64("credit_limit", after.GetCreditLimit()), slog.Int64("posted", after.GetPosted()),
		slog.Int64("pending", after.GetPending()), slog.Int64("withheld", after.GetWithheld()), slog.Int64("available", after.GetAvailable()))
}

func ledgerState(event *eventsv1.LedgerEvent) proto.Message {
	return &eventsv1.LedgerEvent{Balances: event.GetBalances(), Transaction: event.GetTransaction(), Decision: event.GetDecision()}
}

func paymentFacts(facts []slog.Attr, event *eventsv1.PaymentEvent) []slog.Attr {
	after := event.GetPayment()
	facts = append(facts, slog.String("service", string(paymentsName)), slog.String("payment", after.GetPaymentId()), slog.Int64("amount", after.GetAmount().GetMinorUnits()),
		slog.String("currency", after.GetAmount().GetCurrencyCode()), slog.String("status", strings.TrimPrefix(after.GetStatus().String(), "PAYMENT_STATUS_")))
	var why []string
	for _, reason := range after.GetHoldReasons() {
		why = append(why, strings.TrimPrefix(reason.String(), "HOLD_REASON_"))
	}
	if after.GetRejectReason() != typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_UNSPECIFIED {
		why = append(why, strings.TrimPrefix(after.GetRejectReason().String(), "PAYMENT_REJECT_REASON_"))
	}
	if len(why) > 0 {
		facts = append(facts, slog.String("reason", strings.Join(why, ",")))
	}
	return append(facts, slog.Int64("withheld", after.GetWithheld()))
}

func paymentState(event *eventsv1.PaymentEvent) proto.Message {
	state := proto.CloneOf(event.GetPayment())
	state.Reason = ""
	return &eventsv1.PaymentEvent{Payment: state, Assessment: event.GetAssessment()}
}

func accountFacts(facts []slog.Attr, event *eventsv1.AccountEvent) []slog.Attr {
	after := event.GetAccount()
	facts = append(facts, slog.String("service", string(accountsName)), slog.String("currency", after.GetCreditLimit().GetCurrencyCode()),
		slog.Int64("credit_limit", after.GetCreditLimit().GetMinorUnits()), slog.String("account_state", strings.TrimPrefix(after.GetState().String(), "ACCOUNT_STATE_")))
	if card := cardAbout(event); card != "" {
		facts = append(facts, slog.String("card", card))
	}
	return facts
}

func accountState(event *eventsv1.AccountEvent) proto.Message {
	after := event.GetAccount()
	state := &eventsv1.AccountSnapshot{CreditLimit: after.GetCreditLimit(), State: after.GetState(), RulesProfile: after.GetRulesProfile(),
		OpenedAt: after.GetOpenedAt(), UpdatedAt: after.GetUpdatedAt(), Controls: after.GetControls()}
	for _, card := range after.GetCards() {
		state.Cards = append(state.Cards, &eventsv1.CardSnapshot{CardId: card.GetCardId(), State: card.GetState(), ReplacesCardId: card.GetReplacesCardId(), Controls: card.GetControls()})
	}
	return &eventsv1.AccountEvent{Account: state}
}

// cardAbout is the card that an account event is about, of two the new one; empty where it is about none.
func cardAbout(event *eventsv1.AccountEvent) string {
	switch fact := event.GetFact().(type) {
	case *eventsv1.AccountEvent_CardIssued:
		return fact.CardIssued.GetCardId()
	case *eventsv1.AccountEvent_CardStateChanged:
		return fact.CardStateChanged.GetCardId()
	case *eventsv1.AccountEvent_CardReplaced:
		return fact.CardReplaced.GetNewCardId()
	case *eventsv1.AccountEvent_SpendingControlsSet:
		return fact.SpendingControlsSet.GetCardId()
	}
	return ""
}
