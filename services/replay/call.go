package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// attemptDeadline bounds one attempt of a call.
	attemptDeadline = 10 * time.Second
	// callBudget bounds a call with all its attempts and the waits between them.
	callBudget = 30 * time.Second
	// backOffFirst is the longest wait after the first attempt; it doubles with each one.
	backOffFirst = 50 * time.Millisecond
	// backOffMost is where the doubling ends.
	backOffMost = 2 * time.Second
	// maxSilence is how many calls in a row may go without an answer before the run ends:
	// with the server gone, each of the remaining rows would wait out its budget.
	maxSilence = 8
)

// callError is an rpc that ended with an error.
type callError struct {
	call   string
	status *status.Status
}

func (e *callError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.call, codeName(e.status.Code()), e.status.Message())
}

// GRPCStatus lets package status find the code.
func (e *callError) GRPCStatus() *status.Status { return e.status }

// call sends a request as keepAsking does, and records how long that took.
func call[Request, Response any](
	ctx context.Context, p *player, name string,
	rpc func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request,
) (Response, error) {
	started := time.Now()
	response, err := keepAsking(ctx, name, rpc, request)
	if failure := (*callError)(nil); err == nil || errors.As(err, &failure) {
		p.observe(name, time.Since(started))
		p.listen(err)
	}
	return response, err
}

// keepAsking sends a request, again and again while the server says that it cannot answer now.
// Repeating is safe because every request carries the id that it is idempotent by.
// The error is a *callError, or the context's cause if it ended.
func keepAsking[Request, Response any](
	ctx context.Context, name string, rpc func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request,
) (Response, error) {
	giveUp := time.Now().Add(callBudget)
	for attempt := 0; ; attempt++ {
		attemptContext, cancel := context.WithDeadline(ctx, earlier(time.Now().Add(attemptDeadline), giveUp))
		response, err := rpc(attemptContext, request)
		cancel()
		if err == nil {
			return response, nil
		}
		if ctx.Err() != nil {
			return response, context.Cause(ctx)
		}
		if isRetryable(err) {
			wait := backOff(attempt, err)
			if time.Now().Add(wait).Before(giveUp) {
				if err := sleep(ctx, wait); err != nil {
					return response, err
				}
				continue
			}
		}
		return response, &callError{call: name, status: status.Convert(err)}
	}
}

// listen ends the run after too many calls without an answer.
func (p *player) listen(err error) {
	if !isRetryable(err) && status.Code(err) != codes.DeadlineExceeded {
		p.silence.Store(0)
		return
	}
	if p.silence.Add(1) == maxSilence {
		p.stop(fmt.Errorf("%d calls in a row got no answer, the last: %w", maxSilence, err))
	}
}

func isRetryable(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.ResourceExhausted
}

// backOff returns how long to wait before the next attempt. Jitter keeps the workers from coming back all at once.
func backOff(attempt int, err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay() != nil {
			asked := min(max(0, info.GetRetryDelay().AsDuration()), callBudget)
			return asked + rand.N(backOffFirst+asked/4)
		}
	}
	// Past the sixth doubling the bound holds anyhow, and the shift could overflow.
	wait := min(backOffFirst<<min(attempt, 6), backOffMost)
	return wait/2 + rand.N(wait/2)
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
