// Package failure is the one kind of error that callers meet: what went wrong, a stable reason, and what to do about it.
// It depends on nothing, so that the pure domain can speak it; package rpc turns it into gRPC in one table.
package failure

import "fmt"

// Kind says what a caller can do about an error.
type Kind int

// The kinds. The zero value is a fault of ours.
const (
	// Internal is a broken invariant: the caller can do nothing about it.
	Internal Kind = iota
	// Invalid is a request that can never succeed as it stands.
	Invalid
	// NotFound is a thing that does not exist.
	NotFound
	// AlreadyExists is an id that was used for something else.
	AlreadyExists
	// Precondition is a request that the present state does not allow.
	Precondition
	// Overloaded is a full queue or a full disk: try again later, with the same id.
	Overloaded
	// Unavailable is a passing fault: try again, with the same id.
	Unavailable
	// Cancelled is a caller who no longer waits.
	Cancelled
)

// Error is an error with a stable reason. It never holds card numbers or personal data.
type Error struct {
	// Kind says what can be done.
	Kind Kind
	// Reason is stable and in UPPER_SNAKE_CASE: programs branch on it.
	Reason string
	// Message is a sentence for people that says what to do.
	Message string
	// Field is the path of the request's field that is to blame, if one is.
	Field string
	// Cause is for the log, never for the caller.
	Cause error
}

// New makes an Error.
func New(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// InvalidField makes an Error of kind Invalid that blames one field.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Reason: "INVALID_FIELD", Message: fmt.Sprintf(format, args...), Field: field}
}

// Error is the message, with the cause behind it.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Because returns the error with a cause for the log.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.Cause = cause
	return &with
}
