package eventlog

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// BarrierSupported says whether this system can make a whole store durable in one call and report its errors.
const BarrierSupported = true

// openStoreSync returns a function that syncs the file system of a directory (syncfs(2); since Linux 5.8 it reports write-back errors,
// and it reports those since the descriptor was opened, so that is opened once).
func openStoreSync(dir string) (func() error, error) {
	store, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	descriptor := int(store.Fd())
	return func() error {
		defer runtime.KeepAlive(store)
		return unix.Syncfs(descriptor)
	}, nil
}
