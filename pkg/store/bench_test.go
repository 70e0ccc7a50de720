package store_test

import (
	"context"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// BenchmarkDrain claims and settles due tasks in batches of 250, as a worker does. Acting on objects that are all different
// must cost at most a tenth more than acting on none: see docs/decisions.md.
func BenchmarkDrain(b *testing.B) {
	for name, target := range map[string]string{"NoObjects": `''`, "DistinctObjects": `'in_' || md5(n::text)`} {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b)
			merchant := db.Merchant(b)
			db.SQL.MustExec(`
				INSERT INTO scheduled_tasks (id, merchant_id, kind, target, run_at, request_method, request_path, request_version)
				SELECT gen_random_uuid(), $1, 'invoice.pay', `+target+`, now() - n * interval '1 millisecond', 'POST', '/v1/invoices/in_1/pay', '2023-10-16'
				FROM generate_series(1, $2::int) AS n`, merchant.ID, b.N)
			db.SQL.MustExec(`ANALYZE`)
			db.SQL.MustExec(`CHECKPOINT`)
			worker := register(b, db, time.Hour)
			b.ResetTimer()
			drained := 0
			for drained < b.N {
				batch, err := db.Store.Claim(context.Background(), worker, 250)
				if err != nil {
					b.Fatal(err)
				}
				settlements := make([]billing.Settlement, len(batch.Claims))
				for i, c := range batch.Claims {
					settlements[i] = settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
				}
				drained += len(settle(b, db, settlements...))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
