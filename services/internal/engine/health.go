package engine

import (
	"sync"
	"sync/atomic"

	"github.com/cardlog/cardlog/services/internal/failure"
)

// health says whether an engine takes commands.
type health struct {
	serving  atomic.Bool
	why      atomic.Pointer[failure.Error]
	ready    chan struct{}
	once     sync.Once
	onChange func(bool)
}

func (h *health) set(serving bool, why *failure.Error) {
	if why != nil { // the last reason stays, for who looks just before serving begins
		h.why.Store(why)
	}
	h.serving.Store(serving)
	if serving {
		h.once.Do(func() { close(h.ready) })
	}
	if h.onChange != nil {
		h.onChange(serving)
	}
}

func (h *health) refusal() error {
	if why := h.why.Load(); why != nil {
		return why
	}
	return errStopped
}
