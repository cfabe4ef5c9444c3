// Package engine is the one writer of a stream: it decides commands one after another, appends their events a round at a time, and answers when they are durable.
//
// It is generic over the domain, which gives it Decide and Apply and knows nothing of I/O. One goroutine owns the state:
//
//	queue ─> decide, apply ─> round ─> append, barrier ─> publish views, answer
//	           ^  speculative state      (another goroutine; the next round is decided meanwhile)
//
// The rules that keep it right:
//
//   - Nobody hears an answer, and no read shows an effect, that is not durable. Reads use published views; an error that depends on something decided just before
//     waits for that to be durable.
//   - A command's id is looked up first. A hit is confirmed by reading the stored event: the same digest gets the stored answer again, another digest is refused.
//     A repeat of a command that is still in flight waits for it.
//   - When an append is refused or its outcome is unknown, everything decided and not stored is dropped, the callers are told to try again, and the state is made
//     anew from the log.
//   - The decision time is the later of the clock and the time of the stream's last event. What is due at that time is appended before the command is decided.
//   - The state of an account that was not used for long is in the checkpoints and not in memory. Its commands wait until it is loaded, others go on; readers read the
//     checkpoint; what is due of it happens on time. The log wins over a checkpoint: the states of an earlier process are proven by their mark, whose event the log must have
//     with its hash; one behind the mark by its own event, which a start reads. One that is not is held against the account's last event, or the next one's chain, and made
//     again from the log where they differ.
//   - Only durable states are written to the checkpoints, some at a time when a round is sent, so that nobody waits for that.
//   - A panic in Decide or Apply is a broken invariant: the engine stops serving the stream rather than store what follows from it.
package engine
