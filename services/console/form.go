package console

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// form is a form as a page shows it. The names of its fields are paths in the request that it makes, so what a server says against a field is shown there.
type form struct {
	Path   string // where it is sent to
	Call   string // where its grpcurl line is made; empty: nowhere
	Fields []*field
	Button string
	Error  string // against the form as a whole
	Line   string // the call that it makes, as a grpcurl line
}

// The kinds of fields.
const (
	kindID       = "id" // made when the form is shown, and sent unseen: the form may be sent twice and counts once
	kindText     = "text"
	kindMoney    = "money"
	kindSelect   = "select"
	kindCategory = "category"
	kindCheck    = "check"
)

// field is one field of a form.
type field struct {
	Name, Label, Kind string
	Value             string
	Hint, Error       string
	Currency          string // of money
	Options           []choice
	Fills             string // a field that takes the Amount of what is chosen here
	Optional          bool
	Length            int // how many characters it takes; 0: any number
}

// choice is one option of a select.
type choice struct {
	Value, Label string
	Amount       string // see field.Fills
}

// On says whether a check box is ticked.
func (f *field) On() bool { return f.Value == "on" }

// Symbol is what stands before an amount.
func (f *field) Symbol() string { return strings.TrimSpace(symbol(f.Currency)) }

// ID is the element's id in the page.
func (f *field) ID() string { return "field-" + strings.ReplaceAll(f.Name, ".", "-") }

// newID makes the id of a command.
func newID(kind string) string { return kind + "-" + strings.ToLower(rand.Text()[:16]) }

// named returns a field; nil when there is none of that name.
func (f *form) named(name string) *field {
	for _, one := range f.Fields {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// take fills the fields with what was sent.
func (f *form) take(values url.Values) {
	for _, one := range f.Fields {
		if values.Has(one.Name) || one.Kind == kindCheck {
			one.Value = strings.TrimSpace(values.Get(one.Name))
		}
	}
}

// text returns what a field has.
func (f *form) text(name string) string {
	if one := f.named(name); one != nil {
		return one.Value
	}
	return ""
}

// money returns the amount in a field, and notes at the field what is wrong with it. An optional field that is empty has none.
func (f *form) money(name string) *typev1.Money {
	one := f.named(name)
	if one == nil || (one.Optional && one.Value == "") {
		return nil
	}
	amount, err := parseMoney(one.Value, one.Currency)
	if err != nil {
		one.Error = sentence(err.Error())
	}
	return amount
}

// wrong says whether something was noted against a field.
func (f *form) wrong() bool {
	for _, one := range f.Fields {
		if one.Error != "" {
			return true
		}
	}
	return f.Error != ""
}

// fieldOfReason is the field that an error is about, where it is not about the rules of one.
var fieldOfReason = map[string]string{
	"ACCOUNT_EXISTS": "account_id", "ID_REUSED": "account_id", "CARD_EXISTS": "card_id", "CARD_NOT_FOUND": "card_id", "CARD_CLOSED": "card_id", "CARD_REPLACED": "card_id",
	"TRANSACTION_NOT_FOUND": "transaction_id", "BALANCE_OVERFLOW": "amount", "ACCOUNT_CLOSED": "state",
	"PAYMENT_NOT_FOUND": "payment_id", "PAYMENT_SUBMITTED": "payment_id", "PAYMENT_NEVER_SUBMITTED": "payment_id", "PAYMENT_CANCELLED": "payment_id",
	"PAYMENT_REJECTED": "payment_id", "PAYMENT_ALREADY_RETURNED": "payment_id", "NOTHING_WITHHELD": "payment_id", "RETURN_TOO_LATE": "return_code",
}

// refuse notes an error of a call at the fields that it is about, and what is about none of them at the form.
func (f *form) refuse(err error) {
	broken := violations(err)
	for path, said := range broken {
		if one := f.about(path); one != nil {
			one.Error = said
			delete(broken, path)
		}
	}
	if f.wrong() && len(broken) == 0 {
		return
	}
	failed := explain(err)
	if one := f.named(fieldOfReason[reasonOf(err)]); one != nil && one.Kind != kindID {
		one.Error = failed.sentence
		return
	}
	f.Error = failed.sentence
	if uncertain(err) {
		f.Error += " Send the form again: it counts once."
	}
}

// about returns the field that a path of the request belongs to: amount for amount.minor_units, list for list[0].
func (f *form) about(path string) *field {
	for name := path; name != ""; {
		if one := f.named(name); one != nil && one.Kind != kindID {
			return one
		}
		name = name[:max(strings.LastIndexAny(name, ".["), 0)]
	}
	return nil
}

// reasonOf is the reason that a server gives for programs.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// uncertain says whether a call may have been done although it was not answered.
func uncertain(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

// codeOfForm is the status of the page of a form that was refused.
func codeOfForm(err error) int {
	if err == nil {
		return http.StatusUnprocessableEntity
	}
	if code := explain(err).code; code >= http.StatusInternalServerError {
		return code
	}
	return http.StatusUnprocessableEntity
}
