// Package codec writes values to bytes and reads them back. One description of a value serves both ways, so that the two cannot differ.
//
//	func (p *point) code(c *codec.Coder) {
//		c.Number(&p.x)
//		c.Number(&p.y)
//	}
package codec

import (
	"encoding/binary"
	"errors"
	"time"
	"unique"

	"google.golang.org/protobuf/proto"
)

// ErrUnreadable means that bytes are not what was to be read.
var ErrUnreadable = errors.New("the bytes are not an encoded value")

// Coder appends values to bytes, or takes them off.
type Coder struct {
	bytes   []byte
	reading bool
	broken  bool // there was not what was to be read
}

// Write appends what code describes to bytes.
func Write(to []byte, code func(*Coder)) []byte {
	c := Coder{bytes: to}
	code(&c)
	return c.bytes
}

// Read reads what code describes, which must be all of the bytes. Its error is ErrUnreadable.
func Read(from []byte, code func(*Coder)) error {
	c := Coder{bytes: from, reading: true}
	code(&c)
	if c.broken || len(c.bytes) != 0 {
		return ErrUnreadable
	}
	return nil
}

// Reading says whether values are read.
func (c *Coder) Reading() bool { return c.reading }

// Broken says whether something was not there to be read; everything after it is not read either.
func (c *Coder) Broken() bool { return c.broken }

// Break says that what was read cannot be.
func (c *Coder) Break() { c.broken, c.bytes = true, nil }

// Unsigned codes a number that is mostly small.
func (c *Coder) Unsigned(v *uint64) {
	if !c.reading {
		c.bytes = binary.AppendUvarint(c.bytes, *v)
		return
	}
	read, size := binary.Uvarint(c.bytes)
	*v = read
	c.skip(size)
}

// Number codes a number that is mostly near 0.
func (c *Coder) Number(v *int64) {
	if !c.reading {
		c.bytes = binary.AppendVarint(c.bytes, *v)
		return
	}
	read, size := binary.Varint(c.bytes)
	*v = read
	c.skip(size)
}

// skip goes on behind what was read; nothing was when size is 0 or less.
func (c *Coder) skip(size int) {
	if size <= 0 || size > len(c.bytes) {
		c.Break()
		return
	}
	c.bytes = c.bytes[size:]
}

// Flag codes yes or no.
func (c *Coder) Flag(v *bool) {
	number := uint64(0)
	if *v {
		number = 1
	}
	c.Unsigned(&number)
	*v = number == 1
}

// Fixed codes a number that is any of 64 bits.
func (c *Coder) Fixed(v *uint64) {
	if !c.reading {
		c.bytes = binary.LittleEndian.AppendUint64(c.bytes, *v)
		return
	}
	if len(c.bytes) >= 8 {
		*v = binary.LittleEndian.Uint64(c.bytes)
	}
	c.skip(8)
}

// Length codes how many follow. As each takes a byte at least, no more are believed than there are bytes.
func (c *Coder) Length(n int) int {
	length := uint64(n)
	c.Unsigned(&length)
	if c.reading && length > uint64(len(c.bytes)) {
		c.Break()
		return 0
	}
	return int(length)
}

// Data codes bytes. What was read is a copy.
func (c *Coder) Data(v *[]byte) {
	length := c.Length(len(*v))
	if !c.reading {
		c.bytes = append(c.bytes, *v...)
		return
	}
	*v = append([]byte(nil), c.bytes[:length]...)
	c.bytes = c.bytes[length:]
}

// Text codes a text.
func (c *Coder) Text(v *string) {
	length := c.Length(len(*v))
	if !c.reading {
		c.bytes = append(c.bytes, *v...)
		return
	}
	*v = string(c.bytes[:length])
	c.bytes = c.bytes[length:]
}

// Word codes text that many values have in common: it is kept in memory once.
func (c *Coder) Word(v *string) {
	if c.Text(v); c.reading {
		*v = Shared(*v)
	}
}

// Shared returns a text that is kept in memory once.
func Shared(text string) string { return unique.Make(text).Value() }

// Time codes a moment in UTC, or that there is none.
func (c *Coder) Time(v *time.Time) {
	set := !v.IsZero()
	if c.Flag(&set); !set {
		return
	}
	seconds, nanos := v.Unix(), int64(v.Nanosecond())
	c.Number(&seconds)
	c.Number(&nanos)
	*v = time.Unix(seconds, nanos).UTC()
}

// Message codes a protobuf message, or that there is none.
func Message[T any, M interface {
	*T
	proto.Message
}](c *Coder, v *M) {
	set := *v != nil
	if c.Flag(&set); !set {
		return
	}
	var encoded []byte
	if !c.reading {
		var err error
		if encoded, err = proto.Marshal(*v); err != nil {
			panic("a message cannot be encoded: " + err.Error())
		}
	}
	if c.Data(&encoded); c.reading {
		*v = new(T)
		c.broken = proto.Unmarshal(encoded, *v) != nil || c.broken
	}
}

// Small codes a number of another type.
func Small[T ~int32 | ~int](c *Coder, v *T) {
	number := int64(*v)
	c.Number(&number)
	*v = T(number)
}

// List codes a list, each of its values with each.
func List[T any](c *Coder, list *[]T, each func(*T)) {
	length := c.Length(len(*list))
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

// Map codes a map, each of its keys and values with each. The order of what is written is not defined.
func Map[K comparable, V any](c *Coder, m *map[K]V, each func(*K, *V)) {
	length := c.Length(len(*m))
	if !c.reading {
		for key, value := range *m {
			each(&key, &value)
		}
		return
	}
	*m = make(map[K]V, length)
	for range length {
		var key K
		var value V
		if each(&key, &value); c.broken {
			return
		}
		(*m)[key] = value
	}
}
