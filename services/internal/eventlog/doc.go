// Package eventlog is the only package that speaks JetStream: it opens streams, appends to them, makes what was appended durable, and reads and follows it.
//
// # What is stored
//
//	stream      subjects                        message body
//	ACCOUNTS    accounts.<account_id>           cardlog.events.v1.AccountEvent
//	LEDGER_00…  ledger.<shard>.<account_id>     cardlog.events.v1.LedgerEvent
//	KV_KEYS     $KV.KEYS.<account_id>           a wrapped data key (package vault)
//
// A stored fact has the CloudEvents 1.0 attributes as headers (ce-id is <stream>:<sequence>). It is never changed or deleted:
// the streams deny both, and have no limit by age, size or number.
//
// # What an append promises
//
// Append returns nil only when the round is durable: stored as one run of sequences right after the expected one, and behind the barrier.
// ErrFenced says that nothing was stored. After any other error the outcome is unknown: the writer must step down and read the log.
//
// Every append expects the stream's last sequence. Where nobody else can publish, the round is pipelined: message by message, each expecting its own
// predecessor, in one write to a connection that the stream has to itself, with an answer to the first and the last. Elsewhere that would not fence (a foreign message
// makes the first of ours fail, and the second, which expects just that sequence, succeed), so there the round is a single publish or one atomic batch, and one at a
// time is in flight.
//
// # The barrier
//
// On one node a JetStream ack means written, not synced. Barrier syncs the file system of the store once for everyone who waits (syncfs, Linux 5.8 or newer), and
// records in the file "durable" up to where each stream is known to be on disk. At start that record is held against what JetStream still has: see Stream.Check.
//
// # Following
//
// A Consumer keeps its position in JetStream. Who follows a stream that is written in this process gets what became durable from the writer's hands, as long as it
// is among the newest few thousand messages, and reads the log for the rest; who follows another process's stream has JetStream hand it out.
package eventlog
