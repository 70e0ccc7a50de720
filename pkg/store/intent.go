package store

import (
	"context"
	"fmt"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// intent is what a merchant wants to happen once.
type intent struct {
	merchant billing.MerchantID
	name     string
}

// The holders of the intents that are wanted, $1 of the merchants and $2 the intents.
const (
	archivedHolders = `
		SELECT a.id, a.merchant_id, a.intent
		FROM unnest($1::uuid[], $2::text[]) AS wanted (merchant_id, intent)
		JOIN archived_tasks AS a ON a.merchant_id = wanted.merchant_id AND a.intent = wanted.intent
		WHERE a.intent <> '' AND a.status = 'succeeded'`
	allHolders = `
		SELECT t.id, t.merchant_id, t.intent
		FROM unnest($1::uuid[], $2::text[]) AS wanted (merchant_id, intent)
		JOIN scheduled_tasks AS t ON t.merchant_id = wanted.merchant_id AND t.intent = wanted.intent
		WHERE t.intent <> '' AND t.status NOT IN ('failed', 'canceled')
		UNION ALL` + archivedHolders
)

// intentTaken explains which tasks of an insertion were left out because another task has their intent, naming that one.
func intentTaken(ctx context.Context, tx *transaction, tasks []billing.NewTask, inserted []billing.TaskID) error {
	in := make(map[billing.TaskID]bool, len(inserted))
	for _, id := range inserted {
		in[id] = true
	}
	faults, err := intentFaults(ctx, tx, allHolders, tasks, func(i int) bool { return !in[tasks[i].ID] })
	if err != nil {
		return err
	}
	if len(faults) == 0 { // the holder has ended between the two statements
		return &billing.Error{Code: billing.CodeUnavailable, Message: "another task had this intent a moment ago; try again"}
	}
	return takenError(faults)
}

// intentArchived refuses tasks whose intent an archived task has fulfilled. It must be asked after the insertion, in a statement
// of its own: a holder that was being archived meanwhile made the insertion wait, and is seen in the archive only afterwards.
func intentArchived(ctx context.Context, tx *transaction, tasks []billing.NewTask, created []billing.CreatedTask) error {
	faults, err := intentFaults(ctx, tx, archivedHolders, tasks, func(i int) bool { return !created[i].Replayed })
	if err != nil || len(faults) == 0 {
		return err
	}
	return takenError(faults)
}

// intentFaults asks who holds the intents of those tasks that count, and returns a fault for each that is held. It asks nothing
// when none of them has an intent.
func intentFaults(ctx context.Context, tx *transaction, query string, tasks []billing.NewTask, counts func(int) bool) ([]billing.Fault, error) {
	var merchants, names []string
	for i, task := range tasks {
		if task.Intent != "" && counts(i) {
			merchants = append(merchants, string(task.MerchantID))
			names = append(names, task.Intent)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	rows := []struct {
		ID         string `db:"id"`
		MerchantID string `db:"merchant_id"`
		Intent     string `db:"intent"`
	}{}
	if err := tx.SelectContext(ctx, &rows, query, pq.Array(merchants), pq.Array(names)); err != nil {
		return nil, fmt.Errorf("find the holders of intents: %w", err)
	}
	holders := make(map[intent]string, len(rows))
	for _, row := range rows {
		holders[intent{billing.MerchantID(row.MerchantID), row.Intent}] = row.ID
	}
	var faults []billing.Fault
	for i, task := range tasks {
		holder, taken := holders[intent{task.MerchantID, task.Intent}]
		if task.Intent == "" || !counts(i) || !taken {
			continue
		}
		faults = append(faults, billing.Fault{
			Pointer: fmt.Sprintf("/%d/intent", i), Code: string(billing.CodeIntentTaken), Detail: "is that of task " + holder,
		})
	}
	return faults, nil
}

func takenError(faults []billing.Fault) error {
	return &billing.Error{Code: billing.CodeIntentTaken, Message: "task " + holderOf(faults[0]) + " has this intent", Faults: faults}
}

func holderOf(fault billing.Fault) string { return fault.Detail[len("is that of task "):] }
