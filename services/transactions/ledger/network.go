package ledger

import (
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// messenger is a command that can carry a network's message.
type messenger interface {
	// Message returns the key of the message and the digest of its content; both are nil when it has no key.
	Message() (key, digest []byte)

	// messageKey is what the message is known by; nil when nothing tells it from others.
	messageKey() []byte
}

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

// keyOf returns what a message is known by. Its sender uses each number again after a while, so all of them are needed to tell it from others; where one is missing,
// it is known by none.
func keyOf(class messageClass, n *typev1.NetworkMessage) []byte {
	if n.GetNetwork() == "" || n.GetAcquirerId() == "" || n.GetStan() == "" || n.GetRrn() == "" || n.GetTransmittedAt() == nil {
		return nil
	}
	return digestNetwork(command.NewDigest().Number(int64(class)), n).Sum()
}

// answeredMessage returns the sequence of the event that answered the message that a command carries; 0 when none did.
func (a *Account) answeredMessage(c Command) uint64 {
	carrier, carries := c.(messenger)
	if !carries {
		return 0
	}
	key := carrier.messageKey()
	if len(key) == 0 {
		return 0
	}
	return a.ids.at(fingerprintOf(messageID, string(key)))
}
