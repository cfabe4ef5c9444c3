package ledger

import (
	"encoding/binary"
	"errors"
	"time"
	"unique"

	"google.golang.org/protobuf/proto"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// FoldVersion numbers what Apply makes of events and how Encode writes it. It must grow whenever either changes: what was encoded under another version is not read.
const FoldVersion = 1

// ErrUnreadable means that bytes are not an encoded account.
var ErrUnreadable = errors.New("not an encoded account")

// Encode appends the account to bytes, as Decode reads it. What was recalled for a command is left out.
func (a *Account) Encode(to []byte) []byte {
	c := coder{bytes: to}
	a.code(&c)
	return c.bytes
}

// Decode returns the account that Encode wrote. Its error is ErrUnreadable.
func Decode(encoded []byte) (*Account, error) {
	a, c := New(""), coder{bytes: encoded, reading: true}
	a.code(&c)
	if c.broken || len(c.bytes) != 0 {
		return nil, ErrUnreadable
	}
	return a, nil
}

// code writes the account, or reads it.
func (a *Account) code(c *coder) {
	c.text(&a.id)
	c.word(&a.balances.Currency)
	for _, number := range []*int64{&a.balances.CreditLimit, &a.balances.Posted, &a.balances.Pending, &a.balances.Withheld} {
		c.number(number)
	}
	codeEnum(c, &a.state)
	c.word(&a.homeCountry)
	c.word(&a.profile)
	c.controls(&a.controls)
	codeList(c, &a.cards, func(card *card) { card.code(c) })
	a.spending.code(c)
	for _, sequence := range []*uint64{&a.accountsSequence, &a.paymentsSequence, &a.sequence} {
		c.unsigned(sequence)
	}
	c.time(&a.decidedAt)
	a.open.code(c)
	a.ids.code(c)
	codeList(c, &a.order, func(b *began) {
		first, authorized := b.first(), b.start&authorizedFirst != 0
		c.unsigned(&first)
		c.flag(&authorized)
		c.unsigned(&b.last)
		if b.start = first; authorized {
			b.start |= authorizedFirst
		}
	})
}

func (k *card) code(c *coder) {
	c.text(&k.id)
	codeEnum(c, &k.state)
	codeEnum(c, &k.expiryYear)
	codeEnum(c, &k.expiryMonth)
	c.text(&k.replaces)
	c.controls(&k.controls)
}

func (s *spending) code(c *coder) {
	codeList(c, &s.cards, func(card *cardSpending) {
		c.text(&card.id)
		for _, number := range []*int64{&card.ever.amount, &card.ever.count, &card.inYear.amount, &card.inYear.count} {
			c.number(number)
		}
		codeEnum(c, &card.year)
	})
	codeList(c, &s.recent, func(m *moment) {
		c.number(&m.at)
		c.number(&m.amount)
		codeEnum(c, &m.card)
		codeEnum(c, &m.count)
	})
	c.number(&s.through)
	codeList(c, &s.firsts, func(first *firstPurchase) {
		c.text(&first.cardID)
		c.text(&first.merchantID)
	})
}

func (h *openTransactions) code(c *coder) {
	codeList(c, &h.heap, func(o *openTransaction) {
		c.hash(&o.mark)
		c.unsigned(&o.last)
		c.number(&o.held)
		c.number(&o.withheld)
		c.number(&o.dueAt)
		c.data(&o.record)
	})
	if c.reading {
		h.index()
	}
}

func (r *remembered) code(c *coder) {
	count := c.length(r.count)
	if !c.reading {
		for mark, number := range r.each {
			c.hash(&mark)
			c.unsigned(&number)
		}
		return
	}
	if count > 0 {
		r.grow(count*16/15 + 1)
	}
	for range count {
		var mark fingerprint
		var number uint64
		c.hash(&mark)
		if c.unsigned(&number); number == 0 || c.broken {
			c.broken = true
			return
		}
		r.set(mark, number)
	}
}

// coder appends values to bytes, or takes them off. One description of what there is serves both ways, so that they cannot differ.
type coder struct {
	bytes   []byte
	reading bool
	broken  bool // there was not what was to be read
}

func (c *coder) unsigned(v *uint64) {
	if !c.reading {
		c.bytes = binary.AppendUvarint(c.bytes, *v)
		return
	}
	read, size := binary.Uvarint(c.bytes)
	*v = read
	c.skip(size)
}

func (c *coder) number(v *int64) {
	if !c.reading {
		c.bytes = binary.AppendVarint(c.bytes, *v)
		return
	}
	read, size := binary.Varint(c.bytes)
	*v = read
	c.skip(size)
}

// skip goes on behind what was read; nothing was when size is 0 or less.
func (c *coder) skip(size int) {
	if size <= 0 || size > len(c.bytes) {
		c.broken, c.bytes = true, nil
		return
	}
	c.bytes = c.bytes[size:]
}

func (c *coder) flag(v *bool) {
	number := uint64(0)
	if *v {
		number = 1
	}
	c.unsigned(&number)
	*v = number == 1
}

func (c *coder) hash(v *fingerprint) {
	if !c.reading {
		c.bytes = binary.LittleEndian.AppendUint64(c.bytes, uint64(*v))
		return
	}
	if len(c.bytes) >= 8 {
		*v = fingerprint(binary.LittleEndian.Uint64(c.bytes))
	}
	c.skip(8)
}

// length writes or reads how many follow. As each takes a byte at least, no more are believed than there are bytes.
func (c *coder) length(n int) int {
	length := uint64(n)
	c.unsigned(&length)
	if c.reading && length > uint64(len(c.bytes)) {
		c.broken, c.bytes = true, nil
		return 0
	}
	return int(length)
}

// data writes or reads bytes. What was read is a copy.
func (c *coder) data(v *[]byte) {
	length := c.length(len(*v))
	if !c.reading {
		c.bytes = append(c.bytes, *v...)
		return
	}
	*v = append([]byte(nil), c.bytes[:length]...)
	c.bytes = c.bytes[length:]
}

func (c *coder) text(v *string) {
	length := c.length(len(*v))
	if !c.reading {
		c.bytes = append(c.bytes, *v...)
		return
	}
	*v = string(c.bytes[:length])
	c.bytes = c.bytes[length:]
}

// word is text that many accounts have in common.
func (c *coder) word(v *string) {
	if c.text(v); c.reading {
		*v = shared(*v)
	}
}

// shared returns a text that is kept in memory once.
func shared(text string) string { return unique.Make(text).Value() }

func (c *coder) time(v *time.Time) {
	set := !v.IsZero()
	if c.flag(&set); !set {
		return
	}
	seconds, nanos := v.Unix(), int64(v.Nanosecond())
	c.number(&seconds)
	c.number(&nanos)
	*v = time.Unix(seconds, nanos).UTC()
}

func (c *coder) controls(v **typev1.SpendingControls) {
	set := *v != nil
	if c.flag(&set); !set {
		return
	}
	var encoded []byte
	if !c.reading {
		var err error
		if encoded, err = proto.Marshal(*v); err != nil {
			panic("spending controls cannot be encoded: " + err.Error())
		}
	}
	if c.data(&encoded); c.reading {
		*v = &typev1.SpendingControls{}
		c.broken = proto.Unmarshal(encoded, *v) != nil || c.broken
	}
}

// codeEnum writes or reads a small number.
func codeEnum[T ~int32 | ~int](c *coder, v *T) {
	number := int64(*v)
	c.number(&number)
	*v = T(number)
}

func codeList[T any](c *coder, list *[]T, each func(*T)) {
	length := c.length(len(*list))
	if c.reading && length > 0 {
		*list = make([]T, length)
	}
	for i := range length {
		each(&(*list)[i])
		if c.broken {
			return
		}
	}
}
