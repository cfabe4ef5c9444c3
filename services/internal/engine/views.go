package engine

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// views are what readers see of the accounts. An account's view lives in a cell that stays its own, so whoever has the cell can publish without looking for it.
type views[V any] struct {
	parts [viewParts]viewPart[V]
}

// viewParts is a power of two.
const viewParts = 256

type viewPart[V any] struct {
	mu    sync.RWMutex
	cells map[string]*view[V]
}

// view is the cell of one account. It is empty until something is durable.
type view[V any] = atomic.Pointer[V]

var viewSeed = maphash.MakeSeed()

func (v *views[V]) part(accountID string) *viewPart[V] {
	return &v.parts[maphash.String(viewSeed, accountID)%viewParts]
}

// of returns an account's view.
func (v *views[V]) of(accountID string) (published V, ok bool) {
	part := v.part(accountID)
	part.mu.RLock()
	cell := part.cells[accountID]
	part.mu.RUnlock()
	if cell == nil {
		return published, false
	}
	if now := cell.Load(); now != nil {
		return *now, true
	}
	return published, false
}

// cell returns an account's cell, made where there is none.
func (v *views[V]) cell(accountID string) *view[V] {
	part := v.part(accountID)
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.cells == nil {
		part.cells = map[string]*view[V]{}
	}
	cell := part.cells[accountID]
	if cell == nil {
		cell = &view[V]{}
		part.cells[accountID] = cell
	}
	return cell
}

// drop forgets an account's view.
func (v *views[V]) drop(accountID string) {
	part := v.part(accountID)
	part.mu.Lock()
	defer part.mu.Unlock()
	delete(part.cells, accountID)
}

// each calls visit with every account's view, in no order, until it returns false.
func (v *views[V]) each(visit func(accountID string, published V) bool) {
	for i := range v.parts {
		if !v.parts[i].each(visit) {
			return
		}
	}
}

func (p *viewPart[V]) each(visit func(accountID string, published V) bool) bool {
	type shown struct {
		id   string
		view *V
	}
	p.mu.RLock()
	all := make([]shown, 0, len(p.cells))
	for id, cell := range p.cells {
		if now := cell.Load(); now != nil {
			all = append(all, shown{id, now})
		}
	}
	p.mu.RUnlock()
	for _, one := range all { // outside the lock: visit may take its time
		if !visit(one.id, *one.view) {
			return false
		}
	}
	return true
}
