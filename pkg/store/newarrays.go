package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/lib/pq/oid"

	"billonce/pkg/billing"
)

// epoch is where PostgreSQL's count of microseconds begins.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// addTime adds an element of a timestamptz[]; the zero time becomes '-infinity'.
func (a *array) addTime(t time.Time) {
	micros := int64(math.MinInt64)
	if !t.IsZero() {
		micros = t.UnixMicro() - epoch.UnixMicro()
	}
	a.number(8)
	a.text = binary.BigEndian.AppendUint64(a.text, uint64(micros))
}

// addBytes adds an element of a bytea[], or of a text[].
func (a *array) addBytes(content []byte) {
	a.number(uint32(len(content)))
	a.text = append(a.text, content...)
}

// newArrays are the columns of new tasks, one array each, in PostgreSQL's binary format: the parameters of [scheduleQuery].
type newArrays struct {
	ids, merchants, kinds, targets, params, metadata, plans *array
	methods, paths, bodies, versions, hashes                *array
	times, spreads, maxAttempts, keys, prints, creators     *array
	traces                                                  *array // of none, unless one of the requests is followed
}

// newArgs returns the parameters of [scheduleQuery] for n tasks, the i-th of which is at(i). batch says that they came together,
// which decides how their run_at is moved.
func newArgs(n int, batch bool, at func(int) *billing.NewTask) ([]any, error) {
	const paramsSize, pathSize, bodySize, creatorSize, traceSize = 256, 32, 320, 88, 55 // of an ordinary task
	text := func(size int) *array { return newArray(oid.T_text, n, size) }
	traced := 0 // or n
	for i := range n {
		if at(i).TraceContext != "" {
			traced = n
			break
		}
	}
	c := newArrays{
		ids: newArray(oid.T_uuid, n, 16), merchants: newArray(oid.T_uuid, n, 16), kinds: text(24), targets: text(0),
		params: text(paramsSize), metadata: text(2), plans: text(0), methods: text(4), paths: text(pathSize), bodies: text(bodySize),
		versions: text(10), hashes: newArray(oid.T_bytea, n, 32), times: newArray(oid.T_timestamptz, n, 8),
		spreads: newArray(oid.T_int4, n, 4), maxAttempts: newArray(oid.T_int4, n, 4), keys: text(32),
		prints: newArray(oid.T_bytea, n, 32), creators: text(creatorSize), traces: newArray(oid.T_text, traced, traceSize),
	}
	for i := range n {
		task := at(i)
		spread := spreadInBatch(i)
		if !batch {
			spread = spreadOf(task.ID)
		}
		if err := errors.Join(c.add(task), c.spreads.addInt(int(spread/time.Microsecond))); err != nil {
			return nil, fmt.Errorf("encode a task: %w", err)
		}
		if traced > 0 {
			c.traces.addText(task.TraceContext)
		}
	}
	args := make([]any, 0, 21)
	for _, column := range []*array{
		c.ids, c.merchants, c.kinds, c.targets, c.params, c.metadata, c.plans, c.methods, c.paths, c.bodies, c.versions, c.hashes,
		c.times, c.spreads, c.maxAttempts, c.keys, c.prints,
	} {
		args = append(args, column.text)
	}
	named := map[billing.MerchantID]bool{}
	var merchants []billing.MerchantID
	for i := range n {
		if id := at(i).MerchantID; !named[id] {
			named[id] = true
			merchants = append(merchants, id)
		}
	}
	distinct, err := uuids(merchants)
	if err != nil {
		return nil, fmt.Errorf("encode merchants: %w", err)
	}
	return append(args, batch, distinct, c.creators.text, c.traces.text), nil
}

func (c *newArrays) add(task *billing.NewTask) error {
	if err := c.ids.addUUID(string(task.ID)); err != nil {
		return err
	}
	if err := c.merchants.addUUID(string(task.MerchantID)); err != nil {
		return err
	}
	if err := c.maxAttempts.addInt(task.MaxAttempts); err != nil {
		return err
	}
	if err := c.metadata.addWritten(func(to []byte) ([]byte, error) { return appendNotes(to, task.Metadata) }); err != nil {
		return err
	}
	plan, err := writeDunning(task.OnDecline)
	if err != nil {
		return err
	}
	hash := task.Request.Hash()
	c.kinds.addText(string(task.Kind))
	c.targets.addText(task.Target)
	c.params.addBytes(task.Params)
	c.plans.addText(plan)
	c.methods.addText(task.Request.Method)
	c.paths.addText(task.Request.Path)
	c.bodies.addText(task.Request.Body)
	c.versions.addText(task.Request.APIVersion)
	c.hashes.addBytes(hash[:])
	c.times.addTime(task.RunAt)
	c.keys.addText(task.Key)
	c.prints.addBytes(task.Fingerprint)
	c.creators.addText(task.CreatedBy)
	return nil
}
