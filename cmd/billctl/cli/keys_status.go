package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/store"
)

func (p *program) keysStatus() *cobra.Command {
	command := &cobra.Command{
		Use: "status", Short: "Show which keys have sealed the stored tokens, and how often", Args: exactly(0, "no arguments"),
		Long: "Show which keys have sealed the stored tokens, how many tokens are bound to their places, and how often each key has sealed.\n\n" +
			"With ENCRYPTION_KEY and ENCRYPTION_KEYS_PREVIOUS set it also shows which of these keys they are. It opens no token.",
	}
	asJSON := command.Flags().Bool("json", false, "print the result as JSON")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.withKeyRing(command.Context(), false, func(ring keyRing) error {
			return p.keyStatus(command.Context(), ring, *asJSON)
		})
	}
	return command
}

// shownKey is a key as keys status shows it.
type shownKey struct {
	ID        *string    `json:"key_id"` // null: what older releases sealed, without naming a key
	Held      *string    `json:"held"`   // "seals", "opens", or null
	Active    bool       `json:"active"`
	Retired   bool       `json:"retired"` // no service can be started that seals with it
	Tokens    int        `json:"tokens"`
	Unbound   int        `json:"unbound"`
	Sealings  int64      `json:"sealings"`
	CreatedAt *time.Time `json:"created_at"`
}

// shownStatus is what keys status says.
type shownStatus struct {
	Keys        []shownKey `json:"keys"`
	Tokens      int        `json:"tokens"`
	Outdated    int        `json:"outdated"` // not sealed by the active key
	Unbound     int        `json:"unbound"`
	ManySealing []string   `json:"sealed_many_times"` // keys that should be replaced
}

func (p *program) keyStatus(ctx context.Context, ring keyRing, asJSON bool) error {
	uses, err := ring.db.KeyUses(ctx)
	if err != nil {
		return err
	}
	status := shownStatus{Keys: []shownKey{}, ManySealing: []string{}}
	known := map[string]bool{}
	for _, use := range uses {
		known[use.ID] = true
		status.Keys = append(status.Keys, showKey(use, ring.holding(use.ID)))
		status.Tokens, status.Unbound = status.Tokens+use.Tokens, status.Unbound+use.Unbound
		if !use.Active {
			status.Outdated += use.Tokens
		}
		if use.Active && use.Sealings >= billing.SealingsMany {
			status.ManySealing = append(status.ManySealing, use.ID)
		}
	}
	for _, id := range ring.ids() {
		if !known[id] { // given to us, and not used yet
			status.Keys = append(status.Keys, showKey(store.KeyUse{ID: id}, ring.holding(id)))
		}
	}
	if asJSON {
		return p.printJSON(status)
	}
	p.printKeys(status)
	return nil
}

func showKey(use store.KeyUse, held string) shownKey {
	shown := shownKey{Active: use.Active, Retired: use.Retired, Tokens: use.Tokens, Unbound: use.Unbound, Sealings: use.Sealings}
	if use.ID != "" {
		shown.ID = &use.ID
	}
	if held != "" {
		shown.Held = &held
	}
	if use.Known {
		at := use.CreatedAt.UTC()
		shown.CreatedAt = &at
	}
	return shown
}

func (p *program) printKeys(status shownStatus) {
	rows := [][]string{{"KEY", "GIVEN", "ACTIVE", "TOKENS", "NOT BOUND", "SEALINGS", "SINCE"}}
	for _, key := range status.Keys {
		active, since := "no", "–"
		switch {
		case key.Active:
			active = "yes"
		case key.Retired:
			active = "retired"
		}
		if key.CreatedAt != nil {
			since = p.when(*key.CreatedAt)
		}
		id := dereference(key.ID)
		if id == "" {
			id = "not named"
		}
		rows = append(rows, []string{
			id, dash(dereference(key.Held)), active, fmt.Sprint(key.Tokens), fmt.Sprint(key.Unbound), fmt.Sprint(key.Sealings), since,
		})
	}
	p.table(rows)
	if status.Outdated+status.Unbound == 0 {
		p.printf("\nEvery stored token, %d in all, is sealed by the active key and bound to its place.\n", status.Tokens)
	} else {
		p.printf("\nOf %d stored tokens, %d are not sealed by the active key and %d are bound to no place: see billctl keys rotate --help.\n",
			status.Tokens, status.Outdated, status.Unbound)
	}
	for _, id := range status.ManySealing {
		p.sayf("warning: key %s has sealed more than %d times, and may do so %d times: rotate it\n", id, billing.SealingsMany, billing.SealingsMost)
	}
}

// ids are the keys that the environment gives us, the sealing one first.
func (r keyRing) ids() (ids []string) {
	if r.vault == nil {
		return nil
	}
	ids = append(ids, r.vault.Primary().ID())
	for _, key := range r.vault.Previous() {
		ids = append(ids, key.ID())
	}
	return ids
}

// holding says what the environment gives us a key for: "" if not at all.
func (r keyRing) holding(id string) string {
	for i, held := range r.ids() {
		if held == id && i == 0 {
			return "seals"
		}
		if held == id {
			return "opens"
		}
	}
	return ""
}
