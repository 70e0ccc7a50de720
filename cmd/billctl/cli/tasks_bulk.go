package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/progress"
	"billonce/pkg/client"
)

// bulkStep is how many tasks one call changes at most: the API's own limit.
const bulkStep = 1000

// bulkFlags are what a bulk change is told.
type bulkFlags struct {
	apiFlags
	confirmFlags
	taskFilter
	reason, at string
	limit      int
	dryRun     bool
}

func (p *program) tasksBulk() *cobra.Command {
	command := group("bulk", "Cancel, reschedule or retry all tasks that fit a filter",
		p.bulk("cancel", "Call off all tasks that fit and have not been sent"),
		p.bulk("reschedule", "Move all tasks that fit and have not been sent to another time"),
		p.bulk("retry", "Schedule all failed or canceled tasks that fit anew"))
	command.Long = "Cancel, reschedule or retry all tasks that fit a filter.\n\n" +
		"First they are counted and shown, and you type their number to go on; scripts give --yes. Tasks that are scheduled meanwhile are\n" +
		"left alone. Each task is changed as by itself and has its own entry in the audit log. When it is interrupted, what was changed\n" +
		"stays changed, and the same command does the rest."
	return command
}

func (p *program) bulk(action, short string) *cobra.Command {
	command := &cobra.Command{Use: action + " --reason TEXT", Short: short, Args: exactly(0, "no arguments; the filter says which tasks")}
	var flags bulkFlags
	flags.apiFlags.add(command)
	flags.confirmFlags.add(command)
	flags.addStatus(command)
	flags.addBulk(command)
	command.Flags().StringVar(&flags.reason, "reason", "", "why; it is kept in the audit log (required)")
	command.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only count them")
	command.Flags().IntVar(&flags.limit, "limit", 0, "change so many at most (default: all)")
	if action == "reschedule" {
		command.Flags().StringVar(&flags.at, "at", "", "the new time, like 2030-01-31T09:00:00Z or 3d (see help times)")
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		call, err := flags.call(p, action)
		if err != nil {
			return err
		}
		return p.bulkChange(command.Context(), flags, call)
	}
	return command
}

// bulkCall is what is sent again and again.
type bulkCall struct {
	action string
	filter map[string]any
	rest   map[string]any
	cursor string // where to go on
}

func (f bulkFlags) call(p *program, action string) (bulkCall, error) {
	filter, err := f.members(p)
	if err != nil {
		return bulkCall{}, err
	}
	call := bulkCall{action: action, filter: filter, rest: map[string]any{"reason": strings.TrimSpace(f.reason)}}
	switch {
	case len(filter) == 0:
		return call, usageError{errors.New("say which tasks, by --status, --merchant, --kind, --target, --from or --to")}
	case call.rest["reason"] == "":
		return call, usageError{errors.New("--reason is needed")}
	case f.limit < 0:
		return call, usageError{errors.New("--limit must be at least 1")}
	case action == "reschedule" && f.at == "":
		return call, usageError{errors.New("--at is needed")}
	}
	return call, p.addMoment(call.rest, "run_at", "--at", f.at)
}

func (c bulkCall) send(ctx context.Context, api *client.Client, limit int, dryRun bool) (result client.BulkResult, raw []byte, err error) {
	body := map[string]any{"action": c.action, "filter": c.filter, "limit": limit, "dry_run": dryRun}
	if c.cursor != "" {
		body["cursor"] = c.cursor
	}
	for name, value := range c.rest {
		body[name] = value
	}
	raw, err = api.Do(ctx, client.Call{Method: http.MethodPost, Path: tasksPath + "/bulk", Body: body})
	if err != nil {
		return result, nil, err
	}
	result, err = decode[client.BulkResult](raw)
	return result, raw, err
}

// mostCounted is where the API stops counting.
const mostCounted = 10_000

// count asks how many tasks fit, and goes on counting where the time for one search was over before that was known.
func (c bulkCall) count(ctx context.Context, api *client.Client) (sum client.BulkResult, raw []byte, err error) {
	if sum, raw, err = c.send(ctx, api, bulkStep, true); err != nil {
		return sum, nil, err
	}
	c.filter["created_before"] = sum.AsOf.Format(time.RFC3339Nano) // it is about these tasks, not about later ones
	for sum.SearchedTo != nil && sum.Matched < mostCounted {
		if on := dereference(sum.NextCursor); on == "" || on == c.cursor {
			return sum, nil, errStuck
		}
		c.cursor = *sum.NextCursor
		next, _, err := c.send(ctx, api, bulkStep, true)
		if err != nil {
			return sum, nil, err
		}
		next.Matched, next.More = sum.Matched+next.Matched, sum.Matched > 0 || next.More
		sum = next
		if raw, err = json.Marshal(sum); err != nil {
			return sum, nil, fmt.Errorf("sum the counts up: %w", err)
		}
	}
	return sum, raw, nil
}

var errStuck = errors.New("the server says that there are more, and does not get on")

func (p *program) bulkChange(ctx context.Context, flags bulkFlags, call bulkCall) error {
	api, err := p.connect(ctx, flags.apiFlags)
	if err != nil {
		return err
	}
	preview, raw, err := call.count(ctx, api)
	if err != nil {
		return err
	}
	wanted := preview.Matched
	if flags.limit > 0 {
		wanted = min(wanted, flags.limit)
	}
	number := counted(wanted, preview.Capped && wanted == preview.Matched)
	if flags.dryRun || wanted == 0 {
		if flags.json {
			return p.printRaw(raw)
		}
		p.printf("%s tasks fit\n", number)
		return nil
	}
	if err := p.confirm(ctx, flags.confirmFlags, fmt.Sprintf("%s %s tasks", call.action, number), fmt.Sprint(wanted)); err != nil {
		return err
	}
	done, err := p.bulkRun(ctx, api, flags.limit, call, wanted)
	if err != nil {
		return fmt.Errorf("%w\n%d tasks were changed: the same command does the rest", interrupted(ctx, err), done.Changed)
	}
	if flags.json {
		return p.printJSON(done)
	}
	p.printf("%s: %d tasks changed\n", call.action, done.Changed)
	if done.Refused > 0 {
		p.printf("%d more did not allow it any more when it was their turn\n", done.Refused)
	}
	return nil
}

// bulkRun repeats the call until nothing is left, or as much is changed as was asked for. The result sums all calls up.
func (p *program) bulkRun(ctx context.Context, api *client.Client, limit int, call bulkCall, wanted int) (client.BulkResult, error) {
	meter := p.meter(progress.Words{Doing: call.action + ":", Things: "tasks", Done: "changed"})
	meter.Begin(wanted)
	defer meter.End()
	var sum client.BulkResult
	for {
		step := bulkStep
		if limit > 0 {
			step = min(step, limit-sum.Changed)
		}
		result, _, err := call.send(ctx, api, step, false)
		if err != nil {
			return sum, err
		}
		if sum.AsOf.IsZero() {
			sum.Matched, sum.Capped, sum.AsOf = result.Matched, result.Capped, result.AsOf
		}
		sum.Changed, sum.Refused, sum.More = sum.Changed+result.Changed, sum.Refused+result.Refused, result.More
		sum.NextCursor, sum.SearchedTo = result.NextCursor, result.SearchedTo
		meter.Reached(progress.Step{Seen: sum.Changed + sum.Refused, Done: sum.Changed, At: "the next"})
		on := dereference(result.NextCursor)
		switch {
		case !result.More, limit > 0 && sum.Changed >= limit:
			return sum, nil
		case result.Changed+result.Refused == 0 && on == call.cursor:
			return sum, errStuck
		case ctx.Err() != nil:
			return sum, ctx.Err()
		}
		call.cursor = on
	}
}
