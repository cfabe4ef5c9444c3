// Package account is the pure domain of accounts and cards: state, commands, and the fold of events. It does no I/O and reads no clock.
//
// Every event carries the whole account after it, so the last one on a subject is the account.
package account
