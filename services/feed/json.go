package feed

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// encoder makes public events. It is used again, because the bodies are large and many.
type encoder struct {
	buffer bytes.Buffer
	json   *json.Encoder
	ledger ledgerData
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buffer)
	e.json.SetEscapeHTML(false) // a merchant may well have an & in its name
	return e
}}

// encode returns a body as compact JSON.
func (e *encoder) encode(body any) ([]byte, error) {
	e.buffer.Reset()
	if err := e.json.Encode(body); err != nil {
		return nil, err
	}
	return bytes.Clone(bytes.TrimSuffix(e.buffer.Bytes(), []byte("\n"))), nil
}

// money is an amount. The zero value says that there is none.
type money struct {
	CurrencyCode string `json:"currency_code"`
	MinorUnits   int64  `json:"minor_units"`
}

func moneyOf(m *typev1.Money) money {
	return money{CurrencyCode: m.GetCurrencyCode(), MinorUnits: m.GetMinorUnits()}
}

// card is a card without anything that tells its number.
type card struct {
	CardID         string `json:"card_id"`
	State          string `json:"state,omitempty"`
	ExpiryMonth    int32  `json:"expiry_month,omitempty"`
	ExpiryYear     int32  `json:"expiry_year,omitempty"`
	ReplacesCardID string `json:"replaces_card_id,omitempty"`

	Controls *controls `json:"controls,omitempty"`
}

// controls are the spending controls of a card or an account, all that are in force; absent where there are none.
type controls struct {
	MaxAmount           money           `json:"max_amount,omitzero"`
	Limits              []spendingLimit `json:"limits,omitempty"`
	AllowedMCCs         []string        `json:"allowed_mccs,omitempty"`
	BlockedMCCs         []string        `json:"blocked_mccs,omitempty"`
	AllowedCountries    []string        `json:"allowed_countries,omitempty"`
	BlockedCountries    []string        `json:"blocked_countries,omitempty"`
	LockedMerchantID    string          `json:"locked_merchant_id,omitempty"`
	LockToFirstMerchant bool            `json:"lock_to_first_merchant,omitempty"`
	SingleUse           bool            `json:"single_use,omitempty"`
}

// spendingLimit bounds what is spent in a calendar window, or in so many hours.
type spendingLimit struct {
	Window        string `json:"window,omitempty"`
	TrailingHours int32  `json:"trailing_hours,omitempty"`
	MaxAmount     money  `json:"max_amount,omitzero"`
	MaxCount      int32  `json:"max_count,omitempty"`
}

// check is a check that a request failed, or that a payment was held or rejected for. Scope says whose spending control it is, window what time that adds up: a
// calendar window, or a number of hours such as 24h.
type check struct {
	Check         string `json:"check"`
	Scope         string `json:"scope,omitempty"`
	Window        string `json:"window,omitempty"`
	DeclineReason string `json:"decline_reason,omitempty"`
	Seen          string `json:"seen"`
	Bound         string `json:"bound,omitempty"`
}

// enum is what generated enums have.
type enum interface {
	~int32
	String() string
}

// enumName returns a value without its enum's prefix; empty where it is not given.
func enumName[E enum](value E, prefix string) string {
	if value == 0 {
		return ""
	}
	return strings.TrimPrefix(value.String(), prefix)
}

func accountState(s typev1.AccountState) string   { return enumName(s, "ACCOUNT_STATE_") }
func cardState(s typev1.CardState) string         { return enumName(s, "CARD_STATE_") }
func outcome(o typev1.Outcome) string             { return enumName(o, "OUTCOME_") }
func window(w typev1.Window) string               { return enumName(w, "WINDOW_") }
func declineReason(r typev1.DeclineReason) string { return enumName(r, "DECLINE_REASON_") }

// timeOf returns a time as RFC 3339 has it; empty where it is not given.
func timeOf(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
