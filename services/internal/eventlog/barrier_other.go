//go:build !linux

package eventlog

import "errors"

// BarrierSupported says whether this system can make a whole store durable in one call and report its errors.
const BarrierSupported = false

func openStoreSync(string) (func() error, error) {
	return nil, errors.New("syncing a whole store in one call needs Linux")
}
