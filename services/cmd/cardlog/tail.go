package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardlog/cardlog/services/feed"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/replay"
)

// defaultNATS is where up lets readers in.
const defaultNATS = "nats://127.0.0.1:4222"

// tailFirst is how many of the feed's last events tail begins with where --since is not given.
const tailFirst = 10

// tailOptions are the flags of tail.
type tailOptions struct {
	nats                    string
	account, service, event string
	since                   string
	json                    bool
}

func newTailCommand() *cobra.Command {
	options := &tailOptions{}
	command := &cobra.Command{
		Use:   "tail",
		Short: "Follow the public feed, one line an event",
		Long: `Follow the public feed, one line an event, until it is ended. It begins with the feed's last events;
with --since, at a time ago (10m) or with a sequence of the stream EVENTS (1).

Events are named by service: ` + eventHelp(),
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.nats, "nats", defaultNATS, "URL of the NATS server")
	flags.StringVar(&options.account, "account", "", "only events of this account")
	flags.StringVar(&options.service, "service", "", "only events of this service: "+strings.Join(feed.Services(), ", "))
	flags.StringVar(&options.event, "event", "", "only events of this name, such as authorization_declined")
	flags.StringVar(&options.since, "since", "", "begin so long ago (10m), or with this sequence of EVENTS")
	flags.BoolVar(&options.json, "json", false, "print each event as one JSON object, with its CloudEvents attributes")
	return command
}

// eventHelp lists the names of all events.
func eventHelp() string {
	var text strings.Builder
	for _, service := range feed.Services() {
		fmt.Fprintf(&text, "\n\n  %s\n    %s", service, strings.Join(feed.EventNames(service), "\n    "))
	}
	return text.String()
}

func (o *tailOptions) run(ctx context.Context, out io.Writer) error {
	filter, err := o.filter()
	if err != nil {
		return err
	}
	from, err := o.start(time.Now())
	if err != nil {
		return err
	}
	log, disconnect, err := eventlog.Connect(o.nats, eventlog.Options{})
	if err != nil {
		return err
	}
	defer disconnect()
	write := writeTailLine
	if o.json {
		write = writeTailJSON
	}
	told := false
	for {
		err := log.FollowFiltered(ctx, feed.StreamName, from, filter, func(m eventlog.Message) error {
			from = eventlog.Start{Sequence: m.Sequence + 1} // where to go on, should the stream be made anew
			return write(out, m)
		})
		if ctx.Err() != nil {
			return nil // the end was asked for
		}
		if !errors.Is(err, eventlog.ErrNotFound) {
			return err
		}
		if !told {
			_, _ = fmt.Fprintf(os.Stderr, "waiting for the stream %s at %s\n", feed.StreamName, o.nats)
			told = true
		}
		select {
		case <-time.After(natsWait):
		case <-ctx.Done():
			return nil
		}
	}
}

// filter is the subject of what is asked for.
func (o *tailOptions) filter() (string, error) {
	if o.service != "" && !slices.Contains(feed.Services(), o.service) {
		return "", fmt.Errorf("there is no service %s in the feed; there are %s", o.service, strings.Join(feed.Services(), ", "))
	}
	known := o.event == ""
	for _, service := range feed.Services() {
		known = known || ((o.service == "" || o.service == service) && slices.Contains(feed.EventNames(service), o.event))
	}
	if !known {
		return "", fmt.Errorf("there is no event %s in the feed, or not of that service; cardlog tail --help lists them", o.event)
	}
	if strings.ContainsAny(o.account, ".*> \t") {
		return "", fmt.Errorf("%q cannot be an account id", o.account)
	}
	return feed.Subject(cmp.Or(o.service, "*"), cmp.Or(o.event, "*"), cmp.Or(o.account, "*")), nil
}

// start says where to begin.
func (o *tailOptions) start(now time.Time) (eventlog.Start, error) {
	if o.since == "" {
		return eventlog.Start{Last: tailFirst}, nil
	}
	if sequence, err := strconv.ParseUint(o.since, 10, 64); err == nil {
		return eventlog.Start{Sequence: max(sequence, 1)}, nil
	}
	ago, err := time.ParseDuration(o.since)
	if err != nil || ago < 0 {
		return eventlog.Start{}, fmt.Errorf("--since is a time ago such as 10m, or a sequence such as 1200, not %q", o.since)
	}
	return eventlog.Start{Time: now.Add(-ago)}, nil
}

// tailEvent is what a line shows of an event's body. What an event does not have stays empty.
type tailEvent struct {
	TransactionID   string    `json:"transaction_id"`
	PaymentID       string    `json:"payment_id"`
	Card            tailCard  `json:"card"`
	Cards           tailCards `json:"cards"`
	Amount          tailMoney `json:"amount"`
	ReleasedAmount  tailMoney `json:"released_amount"`
	CreditLimit     tailMoney `json:"credit_limit"`
	Outcome         string    `json:"outcome"`
	Status          string    `json:"status"`
	State           string    `json:"state"`
	DeclineReason   string    `json:"decline_reason"`
	RejectionReason string    `json:"rejection_reason"`
	RejectReason    string    `json:"reject_reason"`
	HoldReasons     []string  `json:"hold_reasons"`
	ReturnCode      string    `json:"return_code"`
	Merchant        struct {
		Name string `json:"name"`
	} `json:"merchant"`
	Balances struct {
		Available tailMoney `json:"available"`
	} `json:"balances"`
}

type tailCard struct {
	CardID string `json:"card_id"`
	State  string `json:"state"`
}

// tailCards are the cards that an event changed. Where there are two, the second replaces the first.
type tailCards []tailCard

// last returns the newest card; one without a name where there is none.
func (c tailCards) last() tailCard {
	if len(c) == 0 {
		return tailCard{}
	}
	return c[len(c)-1]
}

type tailMoney struct {
	CurrencyCode string `json:"currency_code"`
	MinorUnits   int64  `json:"minor_units"`
}

// String is the amount as money; empty where there is none.
func (m tailMoney) String() string {
	if m.CurrencyCode == "" {
		return ""
	}
	return replay.FormatMinor(m.MinorUnits, m.CurrencyCode)
}

// writeTailLine writes an event as one aligned line.
func writeTailLine(out io.Writer, m eventlog.Message) error {
	var event tailEvent
	if err := json.Unmarshal(m.Data, &event); err != nil {
		return fmt.Errorf("event %d of %s cannot be read: %w", m.Sequence, feed.StreamName, err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("ce-time"))
	if err != nil {
		return fmt.Errorf("event %d of %s has no time: %w", m.Sequence, feed.StreamName, err)
	}
	words := strings.SplitN(m.Subject, ".", 4)
	if len(words) != 4 {
		return fmt.Errorf("event %d of %s has the subject %s", m.Sequence, feed.StreamName, m.Subject)
	}
	available := ""
	if event.Balances.Available.CurrencyCode != "" {
		available = "available " + event.Balances.Available.String()
	}
	about := cmp.Or(event.TransactionID, event.PaymentID, event.Card.CardID, event.Cards.last().CardID)
	amount := cmp.Or(event.Amount.String(), event.ReleasedAmount.String(), event.CreditLimit.String())
	outcome := cmp.Or(event.DeclineReason, event.RejectionReason, event.RejectReason, strings.Join(event.HoldReasons, ","), event.ReturnCode, event.Outcome, event.Status, event.State, event.Card.State, event.Cards.last().State)
	line := fmt.Sprintf("%s %8d  %-12s %-25s  %-16s %16s  %-20s %-24s %-24s %s",
		at.Local().Format("15:04:05.000"), m.Sequence, words[1], words[2], words[3], amount, outcome, available, about, event.Merchant.Name)
	_, err = fmt.Fprintln(out, strings.TrimRight(line, " "))
	return err
}

// writeTailJSON writes an event as a CloudEvent in structured JSON, on one line.
func writeTailJSON(out io.Writer, m eventlog.Message) error {
	event := map[string]any{"subject": m.Header.Get("ce-subject"), "natssubject": m.Subject, "natssequence": m.Sequence, "data": json.RawMessage(m.Data)}
	for name := range m.Header {
		if attribute, is := strings.CutPrefix(name, "ce-"); is {
			event[attribute] = m.Header.Get(name)
		}
	}
	line, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("event %d of %s cannot be read: %w", m.Sequence, feed.StreamName, err)
	}
	_, err = out.Write(append(line, '\n'))
	return err
}
