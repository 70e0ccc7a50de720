package dev

import (
	"fmt"

	"billonce/cmd/billctl/client"
	"billonce/pkg/billing"
)

// audit compares tasks with the effects that the simulator recorded: one for each that succeeded, none for any other, and
// none that belongs to no task. It returns what is wrong, one sentence each.
//
// Stripe ignores the key of a DELETE, yet the request carries it and the ledger notes what it carried; so every effect
// names its task.
func audit(tasks []client.Task, effects []Effect) []string {
	byKey := map[string]int{}
	for _, effect := range effects {
		byKey[effect.IdempotencyKey]++
	}
	var faults []string
	for _, task := range tasks {
		count, want := byKey[task.IdempotencyKey], 0
		delete(byKey, task.IdempotencyKey)
		if task.Status == billing.Succeeded {
			want = 1
		}
		if !task.Status.Terminal() {
			faults = append(faults, fmt.Sprintf("task %s (%s) is still %s", task.ID, task.Kind, task.Status))
		}
		if count != want {
			faults = append(faults, fmt.Sprintf("task %s (%s) %s and has %d effects, not %d", task.ID, task.Kind, task.Status, count, want))
		}
	}
	for key, count := range byKey {
		faults = append(faults, fmt.Sprintf("%d effects under the key %q belong to no task", count, key))
	}
	return faults
}
