package eventlog

import "context"

// Follow calls each with every durable message after a sequence, in order, and goes on as more are appended. It returns when ctx ends or each fails.
// Where this process is the stream's writer, it never sees what is not behind the barrier.
func (s *Stream) Follow(ctx context.Context, after uint64, each func(Message) error) error {
	for {
		durable, moved := s.Durable()
		if durable > after {
			if err := s.Read(ctx, Range{After: after, Through: durable}, each); err != nil {
				return err
			}
			after = durable
			continue
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
