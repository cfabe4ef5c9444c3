package console

import (
	"bytes"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// grpcurl writes a call as a line to paste into a shell. The console never has a card number to put into one: it names cards by their ids.
func grpcurl(address, method string, request proto.Message) string {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(request)
	if err != nil {
		text = []byte("{}") // an invalid string: the call will say so
	}
	var compact bytes.Buffer // protojson puts spaces where it likes
	if err := json.Compact(&compact, text); err != nil {
		compact.Write(text)
	}
	return "grpcurl -plaintext -d " + shellQuoted(compact.String()) + " " + address + " " + strings.TrimPrefix(method, "/")
}

// shellQuoted puts text into single quotes.
func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
