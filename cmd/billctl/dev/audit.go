package dev

import (
	"fmt"
	"maps"
	"slices"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// audit compares tasks with the effects that the simulator recorded: one for each that succeeded, none for any other, and
// none that belongs to no task; and each effect is of the task's kind, on the object that the task reports. It returns what
// is wrong, one sentence each.
//
// Stripe ignores the key of a DELETE, yet the request carries it and the ledger notes what it carried; so every effect
// names its task.
func audit(tasks []client.Task, effects []Effect) []string {
	byKey := map[string][]Effect{}
	for _, effect := range effects {
		byKey[effect.IdempotencyKey] = append(byKey[effect.IdempotencyKey], effect)
	}
	var faults []string
	for _, task := range tasks {
		for _, fault := range auditOne(task, byKey[task.IdempotencyKey]) {
			faults = append(faults, fmt.Sprintf("task %s (%s) %s", task.ID, task.Kind, fault))
		}
		delete(byKey, task.IdempotencyKey)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		faults = append(faults, fmt.Sprintf("%d effects under the key %q belong to no task", len(byKey[key]), key))
	}
	return faults
}

func auditOne(task client.Task, effects []Effect) []string {
	var faults []string
	if !task.Status.Terminal() {
		faults = append(faults, fmt.Sprintf("is still %s", task.Status))
	}
	want := 0
	if task.Status == billing.Succeeded {
		want = 1
	}
	if len(effects) != want {
		return append(faults, fmt.Sprintf("%s and has %d effects, not %d", task.Status, len(effects), want))
	}
	for _, effect := range effects {
		if effect.Op != string(task.Kind) {
			faults = append(faults, "had the effect of "+effect.Op)
		}
		if task.Result == nil || task.Result.ID != effect.Object {
			faults = append(faults, "reports another object than "+effect.Object+", which it changed")
		}
	}
	return faults
}
