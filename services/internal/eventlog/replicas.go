package eventlog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxReplicas is the most servers that JetStream keeps a stream on.
const MaxReplicas = 5

// replicasOf returns on how many servers a stream is to be, given on how many it is; 0: it does not exist.
func (l *Log) replicasOf(is int) int {
	if l.replicas != 0 {
		return l.replicas
	}
	return max(is, 1)
}

// spread puts a stream that exists on as many servers as wanted.
func (l *Log) spread(ctx context.Context, handle jetstream.Stream) (jetstream.Stream, error) {
	config := handle.CachedInfo().Config
	if config.Replicas == l.replicasOf(config.Replicas) {
		return handle, nil
	}
	config.Replicas = l.replicas
	spread, err := l.js.UpdateStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("keep stream %s on %d servers: %w", config.Name, l.replicas, err)
	}
	return spread, nil
}

// The answers to direct gets come from any server that keeps the stream, and one that lags answers as if its newest events did not exist. So where an answer says
// that there is no more, the leader is asked; nothing else tells a server that lags from a stream that ends. Where the server is ours it is the only one.

// nextOnLeader returns the first message of a subject between two sequences, both included, that the stream's leader has.
func (s *Stream) nextOnLeader(ctx context.Context, subject string, from, through uint64) (m Message, found bool, err error) {
	if s.log.dial != nil || from > through {
		return Message{}, false, nil
	}
	if subject == "" {
		subject = s.subjects
	}
	m, found, err = s.log.askLeader(ctx, s.name, directGet{Sequence: from, NextFor: subject})
	return m, found && m.Sequence <= through, err
}

// askLeader gets one message from a stream's leader.
func (l *Log) askLeader(ctx context.Context, stream string, get directGet) (m Message, found bool, err error) {
	body, err := json.Marshal(get)
	if err != nil {
		return Message{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := l.reads.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return Message{}, false, fmt.Errorf("%w: read %s: %w", ErrUnreachable, stream, err)
	}
	var told struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject  string `json:"subject"`
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &told); err != nil {
		return Message{}, false, fmt.Errorf("%w: read %s: answer cannot be read: %w", ErrUnreachable, stream, err)
	}
	switch {
	case told.Error != nil && told.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Message{}, false, nil
	case told.Error != nil:
		return Message{}, false, fmt.Errorf("%w: read %s: %w", ErrUnreachable, stream, told.Error)
	}
	var header Header
	if len(told.Message.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(told.Message.Header); err != nil {
			return Message{}, false, fmt.Errorf("read %s:%d: headers cannot be read: %w", stream, told.Message.Sequence, err)
		}
	}
	return Message{Subject: told.Message.Subject, Sequence: told.Message.Sequence, Header: header, Data: told.Message.Data}, true, nil
}
