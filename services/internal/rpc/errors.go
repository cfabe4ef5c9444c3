package rpc

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cardlog/cardlog/services/internal/failure"
)

// domain of the reasons in google.rpc.ErrorInfo.
const domain = "cardlog"

// retryAfter is how long a caller should wait before it tries again.
const retryAfter = 250 * time.Millisecond

var errInternal = failure.New(failure.Internal, "INTERNAL", "internal error; nothing more is known to the caller; tell the operators")

var errStopping = failure.New(failure.Unavailable, "STOPPING", "the server is stopping; go on with another one, or with this one after a moment")

// cardNumbers are runs of digits that may be a card number that was sent as something else.
var cardNumbers = regexp.MustCompile(`[0-9]{12,19}`)

// masked leaves only the last four digits of what may be a card number.
func masked(text string) string {
	return cardNumbers.ReplaceAllStringFunc(text, func(digits string) string {
		return strings.Repeat("*", len(digits)-4) + digits[len(digits)-4:]
	})
}

// codeOf is the one table from kinds of failure to gRPC codes.
func codeOf(f *failure.Error) codes.Code {
	switch f.Kind {
	case failure.Invalid:
		return codes.InvalidArgument
	case failure.NotFound:
		return codes.NotFound
	case failure.AlreadyExists:
		return codes.AlreadyExists
	case failure.Precondition:
		return codes.FailedPrecondition
	case failure.Overloaded:
		return codes.ResourceExhausted
	case failure.Unavailable:
		return codes.Unavailable
	case failure.Cancelled:
		if errors.Is(f.Cause, context.DeadlineExceeded) {
			return codes.DeadlineExceeded
		}
		return codes.Canceled
	case failure.Internal:
		return codes.Internal
	}
	return codes.Internal
}

// Status is what the caller meets who has an error for one request of a stream, which goes on.
func Status(ctx context.Context, logger *slog.Logger, err error) *status.Status {
	method, _ := grpc.Method(ctx)
	return status.Convert((&edge{logger: logger}).status(ctx, method, err))
}

// status turns an error into what the caller meets. What is not a failure of ours is "internal" to the caller, and everything to the log.
func (e *edge) status(ctx context.Context, method string, err error) error {
	var f *failure.Error
	switch {
	case errors.As(err, &f):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		f = failure.New(failure.Cancelled, "CANCELLED", "the caller stopped waiting").Because(err)
	case status.Code(err) != codes.Unknown:
		return err // gRPC's own, such as a stream that broke
	default:
		f = errInternal.Because(err)
	}
	code := codeOf(f)
	level := slog.LevelDebug
	switch code {
	case codes.Internal:
		level = slog.LevelError
	case codes.Unavailable, codes.ResourceExhausted:
		level = slog.LevelWarn
	default: // the caller's own doing
	}
	e.logger.LogAttrs(ctx, level, "call failed", slog.String("method", method), slog.String("code", code.String()),
		slog.String("reason", f.Reason), slog.String("error", masked(f.Error())))
	return answer(code, f)
}

// answer makes the gRPC status, with details for programs. The cause stays with us.
func answer(code codes.Code, f *failure.Error) error {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: f.Reason, Domain: domain}}
	if f.Field != "" {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: f.Field, Description: f.Message}}})
	}
	if code == codes.Unavailable || code == codes.ResourceExhausted {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	}
	message := masked(f.Message)
	if f.Field != "" {
		message = f.Field + ": " + message
	}
	return withDetails(status.New(code, message), details...)
}

func withDetails(s *status.Status, details ...protoadapt.MessageV1) error {
	if detailed, err := s.WithDetails(details...); err == nil {
		return detailed.Err()
	}
	return s.Err()
}

// badRequest turns broken rules into INVALID_ARGUMENT with one violation per field. The values themselves are not repeated: they may be secret.
func badRequest(err error) error {
	if err == nil {
		return nil
	}
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) || len(broken.Violations) == 0 {
		return errInternal.Because(err)
	}
	details := &errdetails.BadRequest{}
	message := ""
	seen := map[string]bool{}
	for _, violation := range broken.Violations {
		field := protovalidate.FieldPathString(violation.Proto.GetField())
		if seen[field] {
			continue
		}
		seen[field] = true
		description := violation.Proto.GetMessage()
		details.FieldViolations = append(details.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: field, Description: description})
		if message != "" {
			message += "; "
		}
		message += field + ": " + description
	}
	return withDetails(status.New(codes.InvalidArgument, message), details, &errdetails.ErrorInfo{Reason: "INVALID_FIELD", Domain: domain})
}

// Validate checks, by the same rules as a request, a message that a handler made, or one of a stream of requests, which the handler answers for.
func Validate(message protoadapt.MessageV2) error { return badRequest(protovalidate.Validate(message)) }
