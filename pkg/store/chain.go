package store

import (
	"context"
	"fmt"

	"billonce/pkg/billing"
)

// maxChain bounds how far repetitions are followed.
const maxChain = 1000

// ListChain returns the tasks that repeat one another and the given one is among, first to last. The error has code
// [billing.CodeNotFound] when there is no such task.
func (s *Store) ListChain(ctx context.Context, id billing.TaskID) ([]billing.Task, error) {
	if _, err := s.GetTask(ctx, id); err != nil {
		return nil, err
	}
	rows := []taskRow{}
	err := s.db.sqlx.SelectContext(ctx, &rows, `
		WITH RECURSIVE back AS (
			SELECT id, retry_of, 1 AS length FROM scheduled_tasks WHERE id = $1
			UNION ALL
			SELECT t.id, t.retry_of, back.length + 1
			FROM back JOIN scheduled_tasks AS t ON t.id = back.retry_of
			WHERE back.length < $2
		), forth AS (
			(SELECT id, 1 AS place FROM back ORDER BY length DESC LIMIT 1)
			UNION ALL
			SELECT t.id, forth.place + 1
			FROM forth JOIN scheduled_tasks AS t ON t.retry_of = forth.id
			WHERE forth.place < $2
		)
		SELECT `+taskColumns+` FROM forth JOIN scheduled_tasks USING (id) ORDER BY place`, id, maxChain)
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
