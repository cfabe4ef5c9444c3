package rpc

import "sync"

// Parts tells whether a service serves that is made of parts: it does when all of them do.
type Parts struct {
	tell func(serving bool)

	mu      sync.Mutex
	serving []bool
}

// NewParts makes a Parts that tells of each change; tell may be nil.
func NewParts(tell func(serving bool)) *Parts { return &Parts{tell: tell} }

// Add adds a part, which does not serve yet, and returns what it is to say of itself to.
func (p *Parts) Add() func(serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := len(p.serving)
	p.serving = append(p.serving, false)
	return func(serving bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.serving[part] = serving
		all := true
		for _, one := range p.serving {
			all = all && one
		}
		if p.tell != nil {
			p.tell(all)
		}
	}
}
