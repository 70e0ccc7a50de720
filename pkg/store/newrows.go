package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// newRows are the columns of tasks to be inserted, one array each: the statement's text does not depend on their number.
type newRows struct {
	ids, merchants, kinds, targets, params, metadata, retries []string
	methods, paths, bodies, versions                          []string
	hashes                                                    [][]byte
	runAts, scheduledFors                                     []time.Time
	maxAttempts, declines                                     []int64
	intents, plans                                            []string
}

func (c *newRows) add(task billing.NewTask, created billing.Task) error {
	notes := []byte("{}")
	if task.Metadata != nil {
		var err error
		if notes, err = json.Marshal(task.Metadata); err != nil {
			return fmt.Errorf("encode metadata: %w", err)
		}
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
	c.runAts = append(c.runAts, created.RunAt)
	c.scheduledFors = append(c.scheduledFors, created.ScheduledFor)
	c.maxAttempts = append(c.maxAttempts, int64(task.MaxAttempts))
	c.intents = append(c.intents, task.Intent)
	c.plans = append(c.plans, plan)
	c.declines = append(c.declines, int64(task.Declines))
	return nil
}

func (c *newRows) args() []any {
	return []any{
		pq.Array(c.ids), pq.Array(c.merchants), pq.Array(c.kinds), pq.Array(c.targets), pq.Array(c.params), pq.Array(c.metadata),
		pq.Array(c.retries), pq.Array(c.methods), pq.Array(c.paths), pq.Array(c.bodies), pq.Array(c.versions), pq.Array(c.hashes),
		pq.Array(timestamps(c.runAts)), pq.Array(timestamps(c.scheduledFors)), pq.Array(c.maxAttempts),
		pq.Array(c.intents), pq.Array(c.plans), pq.Array(c.declines),
	}
}
