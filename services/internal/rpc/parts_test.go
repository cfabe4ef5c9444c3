package rpc

import (
	"slices"
	"testing"
)

func TestAServiceServesWhenAllOfItsPartsDo(t *testing.T) {
	t.Parallel()
	var told []bool
	parts := NewParts(func(serving bool) { told = append(told, serving) })
	log, accounts := parts.Add(), parts.Add()
	log(true)
	accounts(true)
	ledger := parts.Add() // it comes later, and has yet to catch up
	log(true)
	ledger(true)
	accounts(false)
	log(true)
	accounts(true)
	if want := []bool{false, true, false, true, false, false, true}; !slices.Equal(told, want) {
		t.Errorf("told was %v, want %v", told, want)
	}
	NewParts(nil).Add()(true) // nobody listens
}
