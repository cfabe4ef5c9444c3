package ledger

import (
	"container/heap"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// openTransactions are the transactions of an account with something held or withheld. They are kept encoded, as their last event carries them, because an account
// has several of them at most times and looks into few; and as a heap, the one that is due first on top.
type openTransactions struct {
	heap []openTransaction
	// places are where they are in the heap. It is nil while they are so few that looking through them is as fast.
	places map[fingerprint]int
}

// fewOpen is how many open transactions are looked through.
const fewOpen = 16

// openTransaction is one of them.
type openTransaction struct {
	mark           fingerprint // of its key
	last           uint64      // the sequence of its last event
	held, withheld int64
	dueAt          int64  // in microseconds of the Unix epoch, rounded up: what decides is the clock, which has no finer ones
	record         []byte // a TransactionRecord
}

// due is when what it holds or withholds comes due.
func (o *openTransaction) due() time.Time { return time.UnixMicro(o.dueAt).UTC() }

// microsUp returns a time in microseconds of the Unix epoch, rounded up.
func microsUp(at time.Time) int64 { return at.Add(time.Microsecond - 1).UnixMicro() }

// transaction decodes it.
func (o *openTransaction) transaction() *Transaction {
	record := &eventsv1.TransactionRecord{}
	if err := proto.Unmarshal(o.record, record); err != nil {
		panic("an open transaction cannot be decoded: " + err.Error())
	}
	t := transactionOf(record, o.last)
	return &t
}

// place returns where in the heap a transaction is; -1 when it is not open.
func (h *openTransactions) place(mark fingerprint) int {
	if h.places != nil {
		if at, open := h.places[mark]; open {
			return at
		}
		return -1
	}
	for i := range h.heap {
		if h.heap[i].mark == mark {
			return i
		}
	}
	return -1
}

// find returns an open transaction, or nil.
func (h *openTransactions) find(mark fingerprint) *openTransaction {
	if at := h.place(mark); at >= 0 {
		return &h.heap[at]
	}
	return nil
}

// set keeps a transaction in place of what it was before.
func (h *openTransactions) set(o openTransaction) {
	at := h.place(o.mark)
	if at < 0 {
		heap.Push(h, o)
		return
	}
	h.heap[at] = o
	heap.Fix(h, at)
}

// drop forgets a transaction, if it is there.
func (h *openTransactions) drop(mark fingerprint) {
	if at := h.place(mark); at >= 0 {
		heap.Remove(h, at)
	}
}

// first returns the open transaction that is due first, or nil.
func (h *openTransactions) first() *openTransaction {
	if len(h.heap) == 0 {
		return nil
	}
	return &h.heap[0]
}

func (h *openTransactions) Len() int           { return len(h.heap) }
func (h *openTransactions) Less(i, j int) bool { return h.heap[i].dueAt < h.heap[j].dueAt }

// Swap is for package heap.
func (h *openTransactions) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	if h.places != nil {
		h.places[h.heap[i].mark], h.places[h.heap[j].mark] = i, j
	}
}

// Push is for package heap.
func (h *openTransactions) Push(o any) {
	h.heap = appendTight(h.heap, o.(openTransaction))
	if h.places == nil {
		h.index()
		return
	}
	h.places[h.heap[len(h.heap)-1].mark] = len(h.heap) - 1
}

// index notes the places of all when they are not few.
func (h *openTransactions) index() {
	if len(h.heap) <= fewOpen {
		return
	}
	h.places = make(map[fingerprint]int, len(h.heap))
	for i := range h.heap {
		h.places[h.heap[i].mark] = i
	}
}

// Pop is for package heap.
func (h *openTransactions) Pop() any {
	last := h.heap[len(h.heap)-1]
	h.heap[len(h.heap)-1] = openTransaction{}
	h.heap = h.heap[:len(h.heap)-1]
	if delete(h.places, last.mark); len(h.heap) <= fewOpen/2 {
		h.places = nil
	}
	return last
}

// appendTight is append for what is kept long: it leaves little room to spare.
func appendTight[T any](list []T, one T) []T {
	if len(list) == cap(list) {
		list = append(make([]T, 0, len(list)+len(list)/16+1), list...)
	}
	return append(list, one)
}
