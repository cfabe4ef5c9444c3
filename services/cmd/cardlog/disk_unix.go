//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeBytes is how much may still be written in a directory, without what the system keeps for root.
func freeBytes(dir string) (uint64, error) {
	var of unix.Statfs_t
	if err := unix.Statfs(dir, &of); err != nil {
		return 0, err
	}
	return uint64(max(int64(of.Bavail), 0)) * uint64(of.Bsize), nil //nolint:gosec // the fields' types differ between systems, and a size is not negative
}
