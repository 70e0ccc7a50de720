package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

func (p *program) events() *cobra.Command {
	return group("events", "Follow what becomes of tasks, as it happens", p.eventsWatch())
}

func (p *program) eventsWatch() *cobra.Command {
	command := &cobra.Command{
		Use: "watch", Short: "Print each change of a task as it happens, until Ctrl-C", Args: exactly(0, "no arguments"),
		Long: "Print each change of a task as it happens, one to a line, until Ctrl-C. A connection that is lost is made anew and goes on where\n" +
			"it was. `reset` says that what has happened meanwhile is not known any more: read again what you keep.\n\n" +
			"With --json each line is one object; its event_id is what --after takes to go on later.",
	}
	var flags apiFlags
	flags.add(command)
	var statuses, kinds []string
	var query client.EventsQuery
	command.Flags().StringVar(&query.After, "after", "", "begin with what has happened since the event with this id")
	command.Flags().StringVar(&query.MerchantID, "merchant", "", "only this merchant's tasks")
	command.Flags().StringSliceVar(&statuses, "status", nil, "only changes to these, with commas: "+join(billing.Statuses()))
	command.Flags().StringSliceVar(&kinds, "kind", nil, "only tasks of these kinds, as invoice.pay")
	listCompletion(command, "status", billing.Statuses())
	listCompletion(command, "kind", billing.Kinds())
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx := command.Context()
		api, err := p.connect(ctx, flags)
		if err != nil {
			return err
		}
		query.Status, query.Kind = strings.Join(statuses, ","), strings.Join(kinds, ",")
		for event, err := range api.Events(ctx, query) {
			if err != nil {
				return err
			}
			if err := p.printEvent(event, flags.json); err != nil {
				return err
			}
		}
		return nil
	}
	return command
}

// shownEvent is an event as a line of JSON.
type shownEvent struct {
	Event   string            `json:"event"` // task or reset
	EventID string            `json:"event_id"`
	Task    *client.TaskEvent `json:"task,omitempty"`
	Reason  string            `json:"reason,omitempty"` // of a reset
}

func (p *program) printEvent(event client.Event, asJSON bool) error {
	shown := shownEvent{Event: "task", EventID: event.ID, Task: event.Task}
	if event.Task == nil {
		shown.Event, shown.Reason = "reset", string(event.Reset)
	}
	if asJSON {
		text, err := json.Marshal(shown)
		if err != nil {
			return fmt.Errorf("print JSON: %w", err)
		}
		p.printf("%s\n", text)
		return nil
	}
	if event.Task == nil {
		p.printf("reset  %s\n", plain(shown.Reason))
		return nil
	}
	task := *event.Task
	p.printf("%s\n", plain(strings.Join([]string{
		task.At.UTC().Format(time.RFC3339Nano), task.ID, string(task.Status), string(task.Kind), dash(dereference(task.Target)), task.MerchantID,
		fmt.Sprintf("attempt %d", task.Attempt), "run at " + task.RunAt.UTC().Format(time.RFC3339),
	}, "  ")))
	return nil
}
