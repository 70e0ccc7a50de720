package store_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// TestPostgreSQLReadsTheSameArrays: what PostgreSQL makes of an array of ours is what it makes of lib/pq's.
func TestPostgreSQLReadsTheSameArrays(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	letters := []string{"a", `"`, `\`, "{", "}", ",", " ", "NULL", "null", "'", "\n", "\t", "é", "\U0001F4B6", "<", "(", ""}
	random := rand.New(rand.NewPCG(1, 2))
	check := func(list, ids []string, numbers []int64) {
		t.Helper()
		args, err := store.SameArrays(list, ids, numbers)
		if err != nil {
			t.Fatal(err)
		}
		var texts, uuids, ints bool
		if err := db.DB.Pool().QueryRowContext(context.Background(),
			`SELECT $1::text[] = $2::text[], $3::uuid[] = $4::uuid[], $5::int[] = $6::int[]`, args...).Scan(&texts, &uuids, &ints); err != nil {
			t.Fatal(err)
		}
		if !texts || !uuids || !ints {
			t.Errorf("texts %v %q, uuids %v %q, ints %v %v", texts, list, uuids, ids, ints, numbers)
		}
	}
	check([]string{}, []string{}, []int64{})
	for range 200 {
		list, ids, numbers := make([]string, 1+random.IntN(9)), make([]string, 1+random.IntN(9)), make([]int64, 1+random.IntN(9))
		for i := range list {
			for range random.IntN(6) {
				list[i] += letters[random.IntN(len(letters))]
			}
		}
		for i := range ids {
			ids[i] = storetest.NewID(t)
			if i%2 == 1 {
				ids[i] = strings.ToUpper(ids[i])
			}
		}
		for i := range numbers {
			numbers[i] = int64(int32(random.Uint32()))
		}
		check(list, ids, numbers)
	}
	check([]string{strings.Repeat("x", 100_000)}, []string{}, []int64{math.MinInt32, math.MaxInt32, 0, -1})
}

// TestAClaimAllocatesLittle: reading a claim costs no more than what the driver hands over and the claim keeps.
func TestAClaimAllocatesLittle(t *testing.T) {
	db := storetest.Open(t)
	const batch, batches = 200, 4
	worker := dueTasks(t, db, batch*batches)
	claims := 0
	got := testing.AllocsPerRun(batches-1, func() { claims += len(claim(t, db, worker, batch)) })
	if claims != batch*batches {
		t.Fatalf("%d tasks were claimed", claims)
	}
	if perTask := got / batch; perTask > 32 {
		t.Errorf("%.1f allocations for a task", perTask)
	}
}

// BenchmarkClaim reads claims of 500.
func BenchmarkClaim(b *testing.B) {
	db := storetest.Open(b)
	worker := dueTasks(b, db, b.N)
	db.SQL.MustExec(`VACUUM ANALYZE`)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= 500 {
		if _, err := db.Store.Claim(context.Background(), worker, 500); err != nil {
			b.Fatal(err)
		}
	}
}

func dueTasks(t testing.TB, db *storetest.DB, n int) billing.WorkerID {
	t.Helper()
	merchant := db.Merchant(t)
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, target, run_at, request_method, request_path, request_body, request_version, request_hash)
		SELECT gen_random_uuid(), $1, 'invoice.pay', 'in_' || md5(n::text), now() - n * interval '1 millisecond', 'POST', '/v1/invoices/in_1/pay',
			repeat('amount=100&', 20), '2023-10-16', '\x0102'
		FROM generate_series(1, $2::int) AS n`, merchant.ID, n)
	return register(t, db, time.Hour)
}

// TestAWireReadsEveryByteOnce: whatever sizes are asked for, the bytes come in their order and none is lost at the end.
func TestAWireReadsEveryByteOnce(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	sent := make([]byte, 300_000)
	for i := range sent {
		sent[i] = byte(i * 31 >> 3)
	}
	written := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = conn.Write(sent)
			_ = conn.Close()
		}
		written <- err
	}()
	conn, err := store.DialWire(t.Context(), listener.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	random := rand.New(rand.NewPCG(3, 4))
	var read []byte
	for {
		piece := make([]byte, []int{1, 5, 511, 512, 4096, 40_000}[random.IntN(6)])
		n, err := conn.Read(piece)
		read = append(read, piece[:n]...)
		if err != nil {
			if got := fmt.Sprint(err); got != "EOF" {
				t.Error(err)
			}
			break
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(read, sent) {
		t.Errorf("%d bytes were read of %d, or in another order", len(read), len(sent))
	}
}
