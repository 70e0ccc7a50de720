package main

import (
	"context"
	"database/sql"
	"errors"

	"billonce/bench/stage"
)

// archiveAfter is the TASK_RETENTION where billonce archives while it drains. The copies of finished tasks are one to 99 minutes
// old; nothing that the drain itself finishes gets there.
const archiveAfter = "10m"

// archived counts what was moved away. Nothing would mean that the drain had the machine to itself.
func archived(ctx context.Context, db *sql.DB) (int, error) {
	n, err := stage.Count(ctx, db, `SELECT count(*) FROM archived_tasks`)
	if err == nil && n == 0 {
		err = errors.New("nothing was archived during the drain")
	}
	return int(n), err
}
