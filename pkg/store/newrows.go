package store

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// newRows are the columns of tasks to be inserted, one array each: the statement's text does not depend on their number.
type newRows struct {
	batch bool // several tasks at once

	ids, merchants, kinds, targets, params, metadata, retries []string
	methods, paths, bodies, versions                          []string
	hashes                                                    [][]byte
	runAts, scheduledFors                                     []time.Time
	maxAttempts, declines                                     []int64
	intents, plans, creators, traces                          []string
}

func (c *newRows) add(task billing.NewTask, created billing.Task) error {
	notes, err := appendNotes(nil, task.Metadata)
	if err != nil {
		return err
	}
	plan, err := writeDunning(task.OnDecline)
	if err != nil {
		return err
	}
	hash := task.Request.Hash()
	c.ids = append(c.ids, string(task.ID))
	c.merchants = append(c.merchants, string(task.MerchantID))
	c.kinds = append(c.kinds, string(task.Kind))
	c.targets = append(c.targets, task.Target)
	c.params = append(c.params, string(task.Params))
	c.metadata = append(c.metadata, string(notes))
	c.retries = append(c.retries, string(task.RetryOf))
	c.methods = append(c.methods, task.Request.Method)
	c.paths = append(c.paths, task.Request.Path)
	c.bodies = append(c.bodies, task.Request.Body)
	c.versions = append(c.versions, task.Request.APIVersion)
	c.hashes = append(c.hashes, hash[:])
	c.runAts = append(c.runAts, created.RunAt.Add(c.spread(task.ID, created)))
	c.scheduledFors = append(c.scheduledFors, created.ScheduledFor)
	c.maxAttempts = append(c.maxAttempts, int64(task.MaxAttempts))
	c.intents = append(c.intents, task.Intent)
	c.plans = append(c.plans, plan)
	c.declines = append(c.declines, int64(task.Declines))
	c.creators = append(c.creators, task.CreatedBy)
	c.traces = append(c.traces, task.TraceContext)
	return nil
}

// spreadWithin is more than any task's run_at is moved by [spread].
const spreadWithin = time.Millisecond

// spread is what a new task's run_at is moved by, at most a millisecond: tasks for the same moment, the first of the month at
// midnight, get about as many moments as there are microseconds. A claim can only look from a moment on, and would else walk over
// all that is done of that moment. A batch keeps its order; a single task that is due at once is not moved. What is shown is not
// moved either.
func (c *newRows) spread(id billing.TaskID, created billing.Task) time.Duration {
	if c.batch {
		return spreadInBatch(len(c.runAts))
	}
	if !created.RunAt.After(created.CreatedAt) {
		return 0
	}
	return spreadOf(id)
}

func spreadInBatch(place int) time.Duration {
	const perMicrosecond = 10
	return time.Duration(place/perMicrosecond) * time.Microsecond % spreadWithin
}

func spreadOf(id billing.TaskID) time.Duration {
	return time.Duration(crc32.ChecksumIEEE([]byte(id))%uint32(spreadWithin/time.Microsecond)) * time.Microsecond
}

// appendNotes writes a task's metadata as JSON.
func appendNotes(to []byte, metadata map[string]string) ([]byte, error) {
	if len(metadata) == 0 {
		return append(to, "{}"...), nil
	}
	notes, err := json.Marshal(metadata)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return append(to, notes...), nil
}

func (c *newRows) args() []any {
	return []any{
		pq.Array(c.ids), pq.Array(c.merchants), pq.Array(c.kinds), pq.Array(c.targets), pq.Array(c.params), pq.Array(c.metadata),
		pq.Array(c.retries), pq.Array(c.methods), pq.Array(c.paths), pq.Array(c.bodies), pq.Array(c.versions), pq.Array(c.hashes),
		pq.Array(timestamps(c.runAts)), pq.Array(timestamps(c.scheduledFors)), pq.Array(c.maxAttempts),
		pq.Array(c.intents), pq.Array(c.plans), pq.Array(c.declines), pq.Array(c.creators), pq.Array(c.traces),
	}
}
