package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"billonce/pkg/billing"
)

// archivedColumns are [taskColumns] of an archived task, read from archivedSource: the row of scheduled_tasks that its document
// holds is made a row again. A task is archived only when nothing in scheduled_tasks repeats it, so that what repeats it is
// archived too.
const archivedColumns = ownColumns + `,
	(SELECT r.id FROM archived_tasks AS r WHERE r.retry_of = archived_id LIMIT 1) AS retried_by,
	CAST(nullif(document->'resolution', 'null') AS json) AS resolution`

const (
	archivedSource    = `(SELECT id AS archived_id, retry_of AS archived_retry_of, document FROM archived_tasks) AS a` + archivedRows
	archivedRows      = ` CROSS JOIN LATERAL jsonb_populate_record(NULL::scheduled_tasks, a.document->'task') AS t`
	archivedByID      = `SELECT ` + archivedColumns + ` FROM ` + archivedSource + ` WHERE archived_id = $1`
	archivedByRetryOf = `SELECT ` + archivedColumns + ` FROM ` + archivedSource + ` WHERE archived_retry_of = $1 LIMIT 1`
)

// attemptsOf lists attempts as one JSON array, in the form in which the archive keeps them; NULL when there are none.
const attemptsOf = `SELECT jsonb_agg(to_jsonb(a) - 'task_id' ORDER BY a.attempt) FROM attempts AS a`

// readAttempts reads what attemptsOf listed.
func readAttempts(listed sql.NullString) ([]billing.Attempt, error) {
	if !listed.Valid {
		return []billing.Attempt{}, nil
	}
	var rows []struct {
		Attempt    int                  `json:"attempt"`
		Kind       billing.AttemptKind  `json:"kind"`
		WorkerID   billing.WorkerID     `json:"worker_id"`
		StartedAt  time.Time            `json:"started_at"`
		FinishedAt time.Time            `json:"finished_at"`
		Outcome    billing.Outcome      `json:"outcome"`
		Reason     billing.Reason       `json:"reason"`
		Replayed   bool                 `json:"replayed"`
		RequestID  string               `json:"request_id"`
		Error      *billing.StripeError `json:"error"`
		Evidence   []billing.Evidence   `json:"evidence"`
	}
	if err := json.Unmarshal([]byte(listed.String), &rows); err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	attempts := make([]billing.Attempt, len(rows))
	for i, row := range rows {
		attempts[i] = billing.Attempt{
			Number: row.Attempt, Kind: row.Kind, WorkerID: row.WorkerID, StartedAt: row.StartedAt.UTC(), FinishedAt: row.FinishedAt.UTC(),
			Outcome: row.Outcome, Reason: row.Reason, Replayed: row.Replayed, RequestID: row.RequestID, Error: row.Error, Evidence: row.Evidence,
		}
	}
	return attempts, nil
}
