package store

import (
	"context"
	"fmt"

	"billonce/pkg/billing"
)

// maxChain bounds how far repetitions are followed.
const maxChain = 1000

// everyTask tells which task repeats which, of living and of archived ones.
const everyTask = `(SELECT id, retry_of FROM scheduled_tasks UNION ALL SELECT id, retry_of FROM archived_tasks)`

// ListChain returns the tasks that repeat one another and the given one is among, first to last. The error has code
// [billing.CodeNotFound] when there is no such task.
func (s *Store) ListChain(ctx context.Context, id billing.TaskID) ([]billing.Task, error) {
	if _, err := s.GetTask(ctx, id); err != nil {
		return nil, err
	}
	rows := []struct {
		taskRow
		Place int `db:"place"`
	}{}
	err := s.db.sqlx.SelectContext(ctx, &rows, `
		WITH RECURSIVE back AS (
			SELECT $1::uuid AS task_id, 1 AS length
			UNION ALL
			SELECT t.retry_of, back.length + 1
			FROM back JOIN `+everyTask+` AS t ON t.id = back.task_id
			WHERE t.retry_of IS NOT NULL AND back.length < $2
		), forth AS (
			(SELECT task_id, 1 AS place FROM back ORDER BY length DESC LIMIT 1)
			UNION ALL
			SELECT t.id, forth.place + 1
			FROM forth JOIN `+everyTask+` AS t ON t.retry_of = forth.task_id
			WHERE forth.place < $2
		)
		SELECT place, `+taskColumns+` FROM forth JOIN scheduled_tasks ON id = task_id
		UNION ALL
		SELECT place, `+archivedColumns+` FROM forth JOIN `+archivedSource+` ON archived_id = task_id
		ORDER BY place`, id, maxChain)
	if err != nil {
		return nil, translate("list the chain of a task", err)
	}
	tasks := make([]billing.Task, len(rows))
	for i, row := range rows {
		if tasks[i], err = row.task(); err != nil {
			return nil, fmt.Errorf("list the chain of a task: %w", err)
		}
	}
	return tasks, nil
}
