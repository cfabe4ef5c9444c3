package ledger

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// messenger is a command that can carry a network's message.
type messenger interface{ Message() (key, digest []byte) }

// messageClass is what a trace number is unique within, beside the other fields: an increment is a request as its authorization is.
type messageClass int64

const (
	requestMessage messageClass = iota
	adviceMessage
	reversalMessage
)

func digestNetwork(d command.Digest, n *typev1.NetworkMessage) command.Digest {
	return d.Text(n.GetNetwork(), n.GetAcquirerId(), n.GetStan(), n.GetRrn()).Time(n.GetTransmittedAt())
}

// messageOf returns what a message is known by, and the digest of its content. Its sender uses each number again after a while, so all of them are needed to tell it
// from others; where one is missing, it is known by none.
func messageOf(class messageClass, kind eventsv1.CommandKind, n *typev1.NetworkMessage, content func() command.Digest) (key, digest []byte) {
	if n.GetNetwork() == "" || n.GetAcquirerId() == "" || n.GetStan() == "" || n.GetRrn() == "" || n.GetTransmittedAt() == nil {
		return nil, nil
	}
	return digestNetwork(command.NewDigest().Number(int64(class)), n).Sum(), content().Number(int64(kind)).Sum()
}

// answeredMessage returns the sequence of the event that answered the message that a command carries; 0 when none did.
func (a *Account) answeredMessage(c Command) uint64 {
	carrier, carries := c.(messenger)
	if !carries {
		return 0
	}
	key, _ := carrier.Message()
	if len(key) == 0 {
		return 0
	}
	return a.ids.at(fingerprintOf(messageID, string(key)))
}
