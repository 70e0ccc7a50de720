package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// TestASpanOfCreationsIsASpanOfTheKey: who looks for what a key scheduled last week does not read the tasks of ten years. And the
// bounds leave nothing out.
func TestASpanOfCreationsIsASpanOfTheKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	// One task an hour, for two years and a bit.
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, created_at, created_by)
		SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(at::text), 1, 3) || '8' || substr(md5(at::text), 4, 15))::uuid,
			$1, 'invoice.pay', at, CASE WHEN extract(hour FROM at) = 1 THEN 'billctl here r-1' ELSE 'ADMIN_API_KEY 10.0.0.1 r-1' END
		FROM generate_series('2024-01-01Z'::timestamptz, '2026-02-01Z', '1 hour') AS at`, merchant.ID)
	db.SQL.MustExec(`ANALYZE`)
	filter := billing.AuditFilter{
		Action: billing.ActionTaskCreate, Actor: billing.ActorBillctl,
		From: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2025, 1, 8, 0, 0, 0, 0, time.UTC),
	}
	entries, err := db.Store.ListAudit(ctx, filter, 100, billing.AuditMark{})
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	var want []string
	if err := db.SQL.Select(&want, `SELECT id::text FROM scheduled_tasks WHERE created_at >= $1 AND created_at < $2 AND created_by LIKE 'billctl %'
		ORDER BY id DESC`, filter.From, filter.To); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.ID)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(want) != 7 {
		t.Errorf("%v, want %v", got, want)
	}
	query, args := store.CreationsQuery(filter, 50, billing.AuditMark{})
	seen := map[string]bool{}
	explain(t, db, query, args...).walk(func(p plan) {
		if p.Relation == "scheduled_tasks" || p.Relation == "archived_tasks" {
			seen[p.Relation] = strings.Contains(p.Cond, "id >= ") && strings.Contains(p.Cond, "id < ")
		}
	})
	if !seen["scheduled_tasks"] {
		t.Errorf("the span is not looked up in the key: %v", seen)
	}
	for _, far := range []time.Time{time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)} {
		for _, filter := range []billing.AuditFilter{
			{Action: billing.ActionTaskCreate, From: far}, {Action: billing.ActionTaskCreate, To: far},
		} {
			entries, err := db.Store.ListAudit(ctx, filter, 1, billing.AuditMark{})
			if wanted := filter.From.Before(time.Now()) && (filter.To.IsZero() || filter.To.After(time.Now())); err != nil || (len(entries) == 1) != wanted {
				t.Errorf("%+v: %v, %v", filter, entries, err)
			}
		}
	}
}
