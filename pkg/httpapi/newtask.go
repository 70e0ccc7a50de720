package httpapi

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"billonce/pkg/billing"
)

// Bounds of a task's fields. Metadata has Stripe's own bounds.
const (
	maxTargetBytes      = 255
	maxMetadata         = 50
	maxMetadataName     = 40
	maxMetadataValue    = 500
	maxIntent           = 255
	maxBatch            = 10_000
	fieldIdempotencyKey = "idempotency_key"
)

// readTask reads the fields of one task and freezes its request. What is wrong is added to into, with pointers below
// pointer; the error is a fault of ours. keyed says that the task may carry its own idempotency_key, as it does in a batch.
func (s *Server) readTask(raw []byte, pointer string, keyed bool, who caller, into *faults) (billing.NewTask, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return billing.NewTask{}, fmt.Errorf("make a task id: %w", err)
	}
	task := billing.NewTask{ID: billing.TaskID(id.String()), MaxAttempts: billing.DefaultMaxAttempts, Params: []byte(`{}`)}
	before := len(*into)
	o := readObject(raw, pointer, into)
	if len(*into) > before {
		return task, nil
	}
	if text, ok := o.text("merchant_id", o.required("merchant_id"), 0, maxTargetBytes); ok {
		if task.MerchantID, err = billing.ParseMerchantID(text); err != nil {
			o.fault("merchant_id", faultFormat, "must be the id of a merchant")
		} else if !who.sees(task.MerchantID) {
			o.fault("merchant_id", faultMerchant, "no connected merchant has this id")
		}
	}
	freezable := true
	if text, ok := o.text("kind", o.required("kind"), 0, maxTargetBytes); !ok {
		freezable = false
	} else if task.Kind = billing.Kind(text); !task.Kind.Known() {
		o.fault("kind", faultUnknownValue, "is not a kind of task")
		freezable = false
	}
	if target := o.optional("target"); target != nil {
		text, ok := o.text("target", target, 1, maxTargetBytes)
		task.Target, freezable = text, freezable && ok
	}
	if params := o.optional("params"); params != nil {
		if params[0] != '{' {
			o.fault("params", faultWrongType, "must be an object")
			freezable = false
		}
		task.Params = params
	}
	if at, ok := o.moment("run_at", o.optional("run_at")); ok {
		task.RunAt = at.Truncate(time.Microsecond)
	}
	if n, ok := o.integer("max_attempts", o.optional("max_attempts"), 1, billing.MaxAttemptsLimit); ok {
		task.MaxAttempts = n
	}
	task.Metadata = o.notes("metadata")
	task.Intent, _ = o.text("intent", o.optional("intent"), 1, maxIntent)
	task.OnDecline = o.dunning("on_decline")
	if keyed {
		if text, ok := o.text(fieldIdempotencyKey, o.optional(fieldIdempotencyKey), 1, maxKeyBytes); ok {
			if task.Key = text; !isKey(text) {
				o.fault(fieldIdempotencyKey, faultFormat, "must be printable ASCII characters")
			}
		}
	}
	o.done()
	if !freezable || len(*into) > 0 && into.below(o.at("params")) { // the freezer would complain of the same place again
		return task, nil
	}
	task.Request, err = s.deps.Freezer.Freeze(task.ID, task.Kind, task.Target, task.Params)
	return task, collect(err, pointer, into)
}

// collect moves the faults of the freezer to the list; any other error comes back.
func collect(err error, pointer string, into *faults) error {
	if err == nil || billing.CodeOf(err) != billing.CodeInvalid {
		return err
	}
	found := billing.FaultsOf(err)
	for _, fault := range found {
		into.add(pointer+fault.Pointer, fault.Code, fault.Detail)
	}
	if len(found) == 0 {
		into.add(pointer, string(billing.CodeInvalid), "cannot be scheduled as it is")
	}
	return nil
}

// notes reads an optional object of texts.
func (o *object) notes(name string) map[string]string {
	raw := o.optional(name)
	if raw == nil {
		return map[string]string{}
	}
	before := len(*o.faults)
	inner := readObject(raw, o.at(name), o.faults)
	if len(*o.faults) > before {
		return nil
	}
	if len(inner.members) > maxMetadata {
		o.fault(name, faultLength, fmt.Sprintf("must have at most %d fields", maxMetadata))
		return nil
	}
	notes := make(map[string]string, len(inner.members))
	for _, m := range inner.members {
		if n := len([]rune(m.name)); n < 1 || n > maxMetadataName {
			o.fault(name, faultLength, fmt.Sprintf("must have names of 1 to %d characters", maxMetadataName))
			continue
		}
		if text, ok := inner.text(m.name, m.raw, 0, maxMetadataValue); ok {
			notes[m.name] = text
		}
	}
	return notes
}

// fingerprint tells whether two requests ask for the same task: it covers what the client chose, in canonical form, so
// that neither the order of fields nor the spelling of a value matters. An absent run_at equals an absent run_at, although
// the two mean different moments.
func fingerprint(task billing.NewTask) []byte {
	runAt := ""
	if !task.RunAt.IsZero() {
		runAt = task.RunAt.UTC().Format(time.RFC3339Nano)
	}
	const usual = 1024 // bytes that need no allocation
	all := make([]byte, 0, usual)
	part := func(text string) { all = append(binary.BigEndian.AppendUint64(all, uint64(len(text))), text...) }
	for _, text := range [...]string{"task", string(task.MerchantID), string(task.Kind), task.Target, runAt, strconv.Itoa(task.MaxAttempts)} {
		part(text)
	}
	begin := len(all)
	all = appendCanonical(append(all, make([]byte, 8)...), task.Params)
	binary.BigEndian.PutUint64(all[begin:], uint64(len(all)-begin-8))
	if len(task.Metadata) > 0 {
		for _, name := range slices.SortedFunc(maps.Keys(task.Metadata), strings.Compare) {
			part(name)
			part(task.Metadata[name])
		}
	}
	// Only what is there, so that the fingerprints of tasks without it stay what they were before it existed.
	if task.Intent != "" {
		part("intent")
		part(task.Intent)
	}
	if task.OnDecline != nil {
		part("on_decline")
		for _, after := range task.OnDecline.RetryAfter {
			part(after.String())
		}
		part("stop_codes")
		for _, code := range task.OnDecline.StopCodes {
			part(code)
		}
	}
	sum := sha256.Sum256(all)
	return sum[:]
}
