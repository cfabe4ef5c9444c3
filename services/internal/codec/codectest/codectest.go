// Package codectest checks that a codec forgets no field of what it codes.
package codectest

import (
	"fmt"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/protobuf/proto"
)

// Special deals with the types of a state that cannot be filled or compared field by field.
type Special struct {
	// Fill puts something that no other value has into what a pointer points to, and reports whether it did. Next gives the values.
	Fill func(pointer any, next func() int) bool
	// Same compares two values, and reports whether it could. Optional.
	Same func(a, b any) (same, compared bool)
}

// Fill gives everything that a pointer leads to, in fields of any name, a value that nothing else has.
func Fill(t *testing.T, pointer any, special Special) {
	t.Helper()
	count := 0
	f := filler{t: t, special: special, next: func() int { count++; return count }}
	f.fill(reflect.ValueOf(pointer).Elem(), "")
}

type filler struct {
	t       *testing.T
	special Special
	next    func() int
}

func (f *filler) fill(v reflect.Value, name string) {
	f.t.Helper()
	v = open(v)
	if f.special.Fill != nil && f.special.Fill(v.Addr().Interface(), f.next) {
		return
	}
	if moment, is := v.Addr().Interface().(*time.Time); is {
		n := f.next()
		*moment = time.Date(2026, time.March, 1, 12, 0, n%60, 1000*n, time.UTC)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i), fmt.Sprintf("%s[%d]", name, i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key, name+" key")
			f.fill(value, name+" value")
			v.SetMapIndex(key, value)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), name)
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d", name, f.next()))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(-f.next()))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(f.next()))
	case reflect.Bool:
		v.SetBool(true)
	default:
		f.t.Fatalf("%s is a %s: teach the codec and this test what to do with it", name, v.Type())
	}
}

// Same fails the test for every field, of any name, in which what two pointers lead to differs.
func Same(t *testing.T, a, b any, special Special) {
	t.Helper()
	same(t, reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), "", special)
}

func same(t *testing.T, a, b reflect.Value, name string, special Special) {
	t.Helper()
	a, b = open(a), open(b)
	if special.Same != nil {
		if equal, compared := special.Same(a.Interface(), b.Interface()); compared {
			differ(t, equal, name, a, b)
			return
		}
	}
	if message, is := a.Interface().(proto.Message); is {
		differ(t, proto.Equal(message, b.Interface().(proto.Message)), name, a, b)
		return
	}
	_, moment := a.Interface().(time.Time)
	switch kind := a.Kind(); {
	case kind == reflect.Struct && !moment:
		for i := range a.NumField() {
			same(t, a.Field(i), b.Field(i), name+"."+a.Type().Field(i).Name, special)
		}
	case kind == reflect.Slice && a.Len() == b.Len():
		for i := range a.Len() {
			same(t, a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", name, i), special)
		}
	case kind == reflect.Pointer && !a.IsNil() && !b.IsNil():
		same(t, a.Elem(), b.Elem(), name, special)
	default:
		differ(t, reflect.DeepEqual(a.Interface(), b.Interface()), name, a, b)
	}
}

func differ(t *testing.T, equal bool, name string, a, b reflect.Value) {
	t.Helper()
	if !equal {
		t.Errorf("%s is %v after it was encoded and decoded, it was %v", name, b.Interface(), a.Interface())
	}
}

// open returns a value that may be read and set, whatever the name of the field that it is in.
func open(v reflect.Value) reflect.Value {
	if !v.CanAddr() {
		return v
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}
