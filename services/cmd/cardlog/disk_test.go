package main

import (
	"errors"
	"math"
	"testing"

	"google.golang.org/grpc/codes"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

func TestAnAlmostFullDiskRefusesWritesAndReadsGoOn(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	b.openOwing("alice", "")
	admin := adminv1.NewOperationsServiceClient(b.connection)

	p.disk.reserve.Store(math.MaxUint64) // no disk has that much room
	eventually(t, "the shortage is noticed", func() error {
		if told := must(admin.GetStatus(t.Context(), &adminv1.GetStatusRequest{}))(t).GetDisk(); !told.GetLow() || told.GetFreeBytes() == 0 {
			return errors.New(told.String())
		}
		return nil
	})
	_, err := b.authorize(t.Context(), "alice", "lunch", 1_000)
	wantError(t, err, codes.ResourceExhausted, "DISK_LOW")
	_, err = b.pay(t.Context(), "alice", "january", 1_000)
	wantError(t, err, codes.ResourceExhausted, "DISK_LOW")
	b.wantSoon("alice", "a refused purchase", 30_000, 0, 70_000)
	must(b.ListTransactions(t.Context(), &transactionsv1.ListTransactionsRequest{Account: &transactionsv1.ListTransactionsRequest_AccountId{AccountId: "alice"}, PageSize: 10}))(t)

	p.disk.reserve.Store(1)
	eventually(t, "there is room, and the same id is taken", func() error {
		_, err := b.authorize(t.Context(), "alice", "lunch", 1_000)
		return err
	})
}
