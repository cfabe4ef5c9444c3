package rpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cardlog/cardlog/services/internal/failure"
)

func TestEachKindOfFailureHasItsCode(t *testing.T) {
	t.Parallel()
	wanted := map[failure.Kind]codes.Code{
		failure.Internal: codes.Internal, failure.Invalid: codes.InvalidArgument, failure.NotFound: codes.NotFound,
		failure.AlreadyExists: codes.AlreadyExists, failure.Precondition: codes.FailedPrecondition,
		failure.Overloaded: codes.ResourceExhausted, failure.Unavailable: codes.Unavailable, failure.Cancelled: codes.Canceled,
	}
	for kind := failure.Internal; kind <= failure.Cancelled; kind++ {
		code, known := wanted[kind]
		if got := codeOf(failure.New(kind, "REASON", "message")); !known || got != code {
			t.Errorf("kind %d has code %v, want %v", kind, got, code)
		}
	}
	late := failure.New(failure.Cancelled, "CANCELLED", "late").Because(context.DeadlineExceeded)
	if got := codeOf(late); got != codes.DeadlineExceeded {
		t.Errorf("a deadline has code %v", got)
	}
}

func TestWhatTheCallerIsTold(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	e := &edge{logger: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	const number = "4000001234567899"
	for name, row := range map[string]struct {
		err      error
		code     codes.Code
		message  string
		retry    bool
		violates string
	}{
		"a fault of ours is internal, its cause is for the log": {errors.New("disk on fire"), codes.Internal, errInternal.Message, false, ""},
		"a broken field is named":                               {failure.InvalidField("amount", "is odd"), codes.InvalidArgument, "amount: is odd", false, "amount"},
		"what passes has a retry hint":                          {failure.New(failure.Unavailable, "LOG_UNAVAILABLE", "later"), codes.Unavailable, "later", true, ""},
		"what may be a card number is masked":                   {failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", number), codes.NotFound, "there is no account ************7899", false, ""},
		"a caller who left is told so":                          {context.Canceled, codes.Canceled, "the caller stopped waiting", false, ""},
		"an error of gRPC itself passes":                        {status.Error(codes.ResourceExhausted, "too large"), codes.ResourceExhausted, "too large", false, ""},
	} {
		got := status.Convert(e.status(t.Context(), "/service/Method", row.err))
		if got.Code() != row.code || got.Message() != row.message {
			t.Errorf("%s: %v %q", name, got.Code(), got.Message())
		}
		retry, violates := false, ""
		for _, detail := range got.Details() {
			switch detail := detail.(type) {
			case *errdetails.RetryInfo:
				retry = true
			case *errdetails.BadRequest:
				violates = detail.GetFieldViolations()[0].GetField()
			}
		}
		if retry != row.retry || violates != row.violates {
			t.Errorf("%s: retry %v, violates %q", name, retry, violates)
		}
	}
	if strings.Contains(said.String(), number) || !strings.Contains(said.String(), "disk on fire") {
		t.Errorf("the log says %s", said.String())
	}
}
