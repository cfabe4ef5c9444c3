package ledger

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// BenchmarkAuthorize tells what a purchase costs that comes as a network's message, from Lookup to the view.
func BenchmarkAuthorize(b *testing.B) {
	const each = 8 // so that no account becomes untypical
	sent := timestamppb.New(noon.AddDate(0, 3, 0))
	benchmarkCommands(b, each, func(i int) Command {
		return &Authorize{
			AccountID: testAccount, TransactionID: fmt.Sprintf("purchase-2027-%03d", i), CardID: fmt.Sprintf("c%d", 1+i%2), Amount: 10_99, Currency: "GBP",
			Merchant:  &typev1.Merchant{Name: "Trattoria Bella", MerchantId: fmt.Sprintf("merchant-%05d", i), Mcc: "5812", CountryCode: "GB", PostalCode: "N1 9GU"},
			Network:   &typev1.NetworkMessage{Network: "visa", AcquirerId: "412345", Stan: fmt.Sprintf("%06d", i), Rrn: fmt.Sprintf("6060%08d", i), TransmittedAt: sent},
			EntryMode: typev1.EntryMode_ENTRY_MODE_CONTACTLESS,
		}
	})
}

// BenchmarkPresent tells what the presentment of an open hold costs, from Lookup to the view.
func BenchmarkPresent(b *testing.B) {
	benchmarkCommands(b, 5, func(i int) Command {
		n := 31 + i
		return &Present{AccountID: testAccount, PresentmentID: fmt.Sprintf("presentment-%03d", n), TransactionID: fmt.Sprintf("purchase-2026-%03d", n), Amount: int64(1000 + n), Currency: "GBP"}
	})
}

// benchmarkCommands gives each of many typical accounts some commands, one after the other, and begins anew with accounts that have seen none of them.
func benchmarkCommands(b *testing.B, each int, next func(i int) Command) {
	const many = 64
	encoded, rules := typicalAccount(b).account.Encode(nil), BuiltInRules()
	accounts, commands := make([]*Account, many), make([]Command, many*each)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		turn := n % len(commands)
		if turn == 0 {
			b.StopTimer()
			for i := range accounts {
				accounts[i], _ = Decode(encoded)
			}
			for i := range commands {
				commands[i] = next(i / many)
			}
			b.StartTimer()
		}
		a, c := accounts[turn%many], commands[turn]
		if found := a.Lookup(c); found != (command.Lookup{}) {
			b.Fatalf("%s was answered before, or needs what is not in memory: %+v", c.ID(), found)
		}
		at := command.Position{Sequence: a.sequence + 3, Time: a.decidedAt.Add(time.Second)}
		event, err := a.Decide(c, rules, at)
		if err != nil {
			b.Fatal(err)
		}
		a.Apply(event, at.Sequence)
		view := a.View()
		if due, _ := a.NextDue(); due != view.NextDue {
			b.Fatal("the view comes due at another time than the account")
		}
	}
}
