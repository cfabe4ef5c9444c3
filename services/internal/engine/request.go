package engine

import (
	"context"
	"time"

	"github.com/cardlog/cardlog/services/internal/failure"
)

// request is a command, a question or a look at the clock on its way through the engine. It is answered once.
type request struct {
	ctx     context.Context
	account string
	command any         // the command, if it is one
	ask     func()      // the question, put to the state on the engine's goroutine
	expire  bool        // neither: it is answered when all that is due is durable
	arrived time.Time   // when the command came
	way     *way        // what its trace is told; nil where it has none
	done    chan answer // has room for the answer, so that the engine never waits
}

// answer is what became of a request.
type answer struct {
	event     any
	sequence  uint64
	duplicate bool
	err       error
}

// Ticket is a command under way.
type Ticket[E Event] struct {
	request *request
}

// Result is the event that answered a command.
type Result[E Event] struct {
	// Event as it is stored, without its chain hash when it was stored just now.
	Event E
	// Sequence of the event.
	Sequence uint64
	// Duplicate says that an earlier command with the same key was answered with it.
	Duplicate bool
}

// Wait returns when the command's event is durable, or with a *failure.Error. A caller who stops waiting does not stop the command: a repeat with the same id
// gets its answer.
func (t Ticket[E]) Wait(ctx context.Context) (Result[E], error) {
	a := t.request.wait(ctx)
	if a.err != nil {
		return Result[E]{}, a.err
	}
	return Result[E]{Event: a.event.(E), Sequence: a.sequence, Duplicate: a.duplicate}, nil
}

// wait returns the answer, also when it is there and ctx has ended.
func (r *request) wait(ctx context.Context) answer {
	select {
	case a := <-r.done:
		return a
	default:
	}
	select {
	case a := <-r.done:
		return a
	case <-ctx.Done():
		return answer{err: gaveUp(ctx)}
	}
}

func gaveUp(ctx context.Context) error {
	return failure.New(failure.Cancelled, "CANCELLED", "the caller stopped waiting; repeat the call with the same id to learn its outcome").Because(ctx.Err())
}

// The errors that the engine itself answers with.
var (
	errOverloaded = failure.New(failure.Overloaded, "OVERLOADED", "too many commands are waiting; try again with the same id after a moment")
	errSteppedOut = failure.New(failure.Unavailable, "LOG_UNAVAILABLE", "the event log cannot be written to just now; try again with the same id")
	errStopped    = failure.New(failure.Unavailable, "STOPPING", "the service is not serving; try again with the same id")
)
