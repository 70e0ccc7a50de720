package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

func (p *program) overview() *cobra.Command {
	command := &cobra.Command{
		Use: "overview", Short: "See whether money moves: what is due, what needs a person, the workers, the last hours", Args: exactly(0, "no arguments"),
	}
	return p.watched(command, told, func([]string) source {
		return func(look *look) (snapshot, error) {
			raw, err := look.api.Do(look.ctx, client.Call{Method: http.MethodGet, Path: "/v1/overview"})
			if err != nil {
				return snapshot{}, err
			}
			return oneThing(raw, p.overviewColumns(), p.drawOverview)
		}
	})
}

// overviewColumns are one line, for what is appended to. That time passes is no change.
func (p *program) overviewColumns() columns {
	in := column(nil, func(seen client.Overview) []string {
		line := []string{"due " + counted(seen.Due.Count, seen.Due.Capped)}
		for _, one := range seen.Tasks {
			line = append(line, string(one.Status)+" "+counted(one.Count, one.Capped))
		}
		line = append(line, fmt.Sprintf("overdue %d", seen.Attention.Overdue), fmt.Sprintf("paused_merchants %d", seen.Attention.PausedMerchants))
		if seen.Workers != nil {
			line = append(line, fmt.Sprintf("workers %d", seen.Workers.Alive), fmt.Sprintf("busy %d/%d", seen.Workers.Busy, seen.Workers.Slots))
		}
		return line
	})
	in.moving = []string{"now", "due.oldest_age_seconds"}
	in.stamp = func(item json.RawMessage) string {
		seen, err := decode[client.Overview](item)
		if err != nil {
			return ""
		}
		return seen.Now.UTC().Format(time.RFC3339)
	}
	return in
}

func (p *program) drawOverview(seen client.Overview) {
	due := counted(seen.Due.Count, seen.Due.Capped) + " tasks"
	if seen.Due.OldestRunAt != nil {
		due += ", the oldest since " + span(time.Duration(seen.Due.OldestAgeSeconds)*time.Second)
	}
	rows := [][]string{{"due now", due}, {"attention", attention(seen)}}
	if workers := seen.Workers; workers != nil {
		text := fmt.Sprintf("%d alive, %d of %d slots busy", workers.Alive, workers.Busy, workers.Slots)
		if workers.Silent > 0 {
			text += fmt.Sprintf(", %d silent", workers.Silent)
		}
		rows = append(rows, []string{"workers", text})
	}
	if keys := seen.Encryption; keys != nil {
		rows = append(rows, []string{"encryption", strings.TrimSpace(keys.State + " " + dereference(keys.WriteKey))})
	}
	for _, one := range seen.Tasks {
		rows = append(rows, []string{string(one.Status), counted(one.Count, one.Capped)})
	}
	p.table(rows)
	p.drawOutcomes(seen.Outcomes)
}

// attention says what a person should look at.
func attention(seen client.Overview) string {
	var parts []string
	for _, one := range []struct {
		n    int
		what string
	}{
		{seen.Attention.InDoubt, "in doubt"}, {seen.Attention.Overdue, "overdue"}, {seen.Attention.PausedMerchants, "merchants paused"},
	} {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.what))
		}
	}
	switch {
	case len(parts) == 0:
		return "nothing"
	case seen.Attention.Capped:
		return strings.Join(parts, ", ") + ", or more"
	}
	return strings.Join(parts, ", ") + ": billctl tasks list --attention"
}

// shades are how high a bar is, in eighths.
var shades = []rune(" ▁▂▃▄▅▆▇█") //nolint:gochecknoglobals // a constant

// drawOutcomes shows the last hours, a character for every step.
func (p *program) drawOutcomes(steps []client.OutcomeStep) {
	if len(steps) == 0 {
		return
	}
	p.printf("\nsince %s\n", p.when(steps[0].At))
	rows := [][]string{}
	for _, kind := range []struct {
		name string
		of   func(client.OutcomeStep) int
	}{
		{string(billing.Succeeded), func(s client.OutcomeStep) int { return s.Succeeded }},
		{string(billing.Failed), func(s client.OutcomeStep) int { return s.Failed }},
		{string(billing.InDoubt), func(s client.OutcomeStep) int { return s.InDoubt }},
		{"retried", func(s client.OutcomeStep) int { return s.Retried }},
	} {
		most, total := 0, 0
		for _, step := range steps {
			most, total = max(most, kind.of(step)), total+kind.of(step)
		}
		var bars strings.Builder
		for _, step := range steps {
			bars.WriteRune(bar(kind.of(step), most))
		}
		rows = append(rows, []string{kind.name, fmt.Sprint(total), "│" + bars.String() + "│"})
	}
	p.table(rows)
}

// bar is n of most, and never nothing unless n is.
func bar(n, most int) rune {
	if n == 0 || most == 0 {
		return shades[0]
	}
	return shades[(n*(len(shades)-1)+most-1)/most]
}

func (p *program) workers() *cobra.Command {
	command := &cobra.Command{
		Use: "workers", Short: "List workers, those alive first", Args: exactly(0, "no arguments"),
		Long: "List workers, those alive first. It takes a key that is for all merchants.",
	}
	return p.watched(command, polled, func([]string) source {
		return func(look *look) (snapshot, error) {
			var found listing // there is one page
			if err := look.api.Get(look.ctx, "/v1/workers", nil, &found); err != nil {
				return snapshot{}, err
			}
			return p.listed(found, p.workerColumns())
		}
	})
}

func (p *program) workerColumns() columns {
	in := column([]string{"ID", "HOST", "VERSION", "STATE", "BUSY", "STARTED", "HEARD OF"}, func(worker client.Worker) []string {
		state := "alive"
		switch {
		case !worker.Alive:
			state = "silent"
		case worker.Draining:
			state = "draining"
		}
		return []string{
			worker.ID, worker.Host, worker.Version, state, fmt.Sprintf("%d/%d", worker.Busy, worker.Slots), p.when(worker.StartedAt),
			p.when(worker.HeartbeatAt),
		}
	})
	in.moving = []string{"heartbeat_at"} // a worker that falls silent changes its state
	return in
}

func (p *program) me() *cobra.Command {
	command := &cobra.Command{
		Use: "me", Short: "See where the API is, whose key is used and what it allows", Args: exactly(0, "no arguments"),
	}
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		api, err := p.connect(command.Context(), flags)
		if err != nil {
			return err
		}
		raw, err := api.Do(command.Context(), client.Call{Method: http.MethodGet, Path: "/v1/me"})
		if err != nil {
			return err
		}
		return tell(p, flags, raw, func(me client.Me) {
			ends := "never"
			if me.ExpiresAt != nil {
				ends = p.when(*me.ExpiresAt)
			}
			p.table([][]string{
				{"installation", p.at.String()},
				{"id", dash(dereference(me.ID))},
				{"name", me.Name},
				{"scopes", joinScopes(me.Scopes, ", ")},
				{"merchant", dash(dereference(me.MerchantID))},
				{"ends", ends},
			})
		})
	}
	return command
}

func (p *program) encryption() *cobra.Command {
	command := &cobra.Command{
		Use: "encryption", Short: "Show which keys have sealed the stored tokens, as the API sees it", Args: exactly(0, "no arguments"),
		Long: "Show which keys have sealed the stored tokens, as the API sees it. It takes a key with the scope admin. keys status shows the\n" +
			"same from the database, and which of the keys the environment holds.",
	}
	return p.watched(command, polled, func([]string) source {
		return func(look *look) (snapshot, error) {
			raw, err := look.api.Do(look.ctx, client.Call{Method: http.MethodGet, Path: "/v1/encryption"})
			if err != nil {
				return snapshot{}, err
			}
			return oneThing(raw, encryptionColumns(), p.drawEncryption)
		}
	})
}

func encryptionColumns() columns {
	return columns{row: func(item json.RawMessage) ([]string, error) {
		seen, err := decode[client.Encryption](item)
		return []string{"write_key " + dash(dereference(seen.WriteKey)), fmt.Sprintf("left %d of %d", seen.Rotation.Left, seen.Rotation.Total)}, err
	}}
}

func (p *program) drawEncryption(seen client.Encryption) {
	rows := [][]string{{"KEY", "STATE", "TOKENS", "NOT BOUND", "SEALINGS", "SINCE"}}
	for _, key := range seen.Keys {
		state := "opens"
		switch {
		case key.ID == dereference(seen.WriteKey):
			state = "seals"
		case key.RetiredAt != nil:
			state = "retired"
		}
		rows = append(rows, []string{
			dash(key.ID), state, fmt.Sprint(key.Tokens), fmt.Sprint(key.Unbound), fmt.Sprint(key.Sealings), p.whenSet(key.FirstUsedAt),
		})
	}
	p.table(rows)
	if seen.Unnamed > 0 {
		p.printf("\n%d tokens name no key: older releases sealed them.\n", seen.Unnamed)
	}
	if seen.Rotation.Left == 0 {
		p.printf("\nEvery stored token, %d in all, is sealed by the present key and bound to its place.\n", seen.Rotation.Total)
		return
	}
	p.printf("\nOf %d stored tokens, %d are not sealed by the present key or bound to no place: see billctl keys rotate --help.\n",
		seen.Rotation.Total, seen.Rotation.Left)
}
