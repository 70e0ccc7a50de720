package store

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// intent is what a merchant wants to happen once.
type intent struct {
	merchant billing.MerchantID
	name     string
}

// intentTaken explains which tasks of an insertion were left out because another task has their intent, naming that one.
func intentTaken(ctx context.Context, tx *sqlx.Tx, tasks []billing.NewTask, inserted []billing.TaskID) error {
	in := make(map[billing.TaskID]bool, len(inserted))
	for _, id := range inserted {
		in[id] = true
	}
	var merchants, names []string
	for _, task := range tasks {
		if task.Intent != "" && !in[task.ID] {
			merchants = append(merchants, string(task.MerchantID))
			names = append(names, task.Intent)
		}
	}
	rows := []struct {
		ID         string `db:"id"`
		MerchantID string `db:"merchant_id"`
		Intent     string `db:"intent"`
	}{}
	err := tx.SelectContext(ctx, &rows, `
		SELECT t.id, t.merchant_id, t.intent
		FROM unnest($1::uuid[], $2::text[]) AS wanted (merchant_id, intent)
		JOIN scheduled_tasks AS t ON t.merchant_id = wanted.merchant_id AND t.intent = wanted.intent
		WHERE t.intent <> '' AND t.status NOT IN ('failed', 'canceled')`, pq.Array(merchants), pq.Array(names))
	if err != nil {
		return fmt.Errorf("find the holders of intents: %w", err)
	}
	holders := make(map[intent]string, len(rows))
	for _, row := range rows {
		holders[intent{billing.MerchantID(row.MerchantID), row.Intent}] = row.ID
	}
	var faults []billing.Fault
	for i, task := range tasks {
		holder, taken := holders[intent{task.MerchantID, task.Intent}]
		if task.Intent == "" || in[task.ID] || !taken {
			continue
		}
		faults = append(faults, billing.Fault{
			Pointer: fmt.Sprintf("/%d/intent", i), Code: string(billing.CodeIntentTaken), Detail: "is that of task " + holder,
		})
	}
	if len(faults) == 0 { // the holder has ended between the two statements
		return &billing.Error{Code: billing.CodeUnavailable, Message: "another task had this intent a moment ago; try again"}
	}
	return &billing.Error{Code: billing.CodeIntentTaken, Message: "task " + holderOf(faults[0]) + " has this intent", Faults: faults}
}

func holderOf(fault billing.Fault) string { return fault.Detail[len("is that of task "):] }
