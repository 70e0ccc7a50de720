package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/client"
	"billonce/pkg/billing"
)

const tasksPath = "/v1/tasks"

func (p *program) tasks() *cobra.Command {
	return group("tasks", "Look at tasks, call them off, repeat them",
		p.tasksList(), p.tasksShow(),
		p.tasksChange("cancel", "Call tasks off that have not been sent", "canceled"),
		p.tasksChange("retry", "Schedule failed or canceled tasks anew, each as a new task", "scheduled"))
}

func (p *program) tasksList() *cobra.Command {
	command := &cobra.Command{Use: "list", Short: "List tasks, newest first", Args: exactly(0, "no arguments")}
	var flags listFlags
	flags.add(command)
	filters := map[string]*string{
		"status":      command.Flags().String("status", "", "only those: "+join(billing.Statuses())),
		"merchant_id": command.Flags().String("merchant", "", "only this merchant's, by id"),
		"kind":        command.Flags().String("kind", "", "only this kind, as invoice.pay"),
		"target":      command.Flags().String("target", "", "only those on this Stripe object"),
	}
	fixedCompletion(command, "status", billing.Statuses())
	fixedCompletion(command, "kind", billing.Kinds())
	command.RunE = func(command *cobra.Command, _ []string) error {
		query := url.Values{}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		return p.list(command, tasksPath, query, flags, p.taskTable)
	}
	return command
}

func (p *program) taskTable(items []json.RawMessage) error {
	rows := [][]string{{"ID", "STATUS", "KIND", "TARGET", "MERCHANT", "RUN AT", "ATTEMPT", "RESULT"}}
	for _, item := range items {
		task, err := decode[client.Task](item)
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			task.ID, string(task.Status), string(task.Kind), dash(dereference(task.Target)), task.MerchantID, p.when(task.RunAt),
			fmt.Sprintf("%d/%d", task.Attempt, task.MaxAttempts), outcome(task),
		})
	}
	p.table(rows)
	return nil
}

func (p *program) tasksShow() *cobra.Command {
	command := &cobra.Command{Use: "show ID", Short: "Show one task and its attempts", Args: exactly(1, "the id of one task")}
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		api, err := p.connect(flags)
		if err != nil {
			return err
		}
		path := tasksPath + "/" + url.PathEscape(args[0])
		raw, err := api.Do(command.Context(), client.Call{Method: http.MethodGet, Path: path})
		if err != nil {
			return err
		}
		attempts, err := api.List(command.Context(), path+"/attempts", nil, 0)
		if err != nil {
			return err
		}
		if flags.json {
			return p.printJSON(struct {
				Task     json.RawMessage   `json:"task"`
				Attempts []json.RawMessage `json:"attempts"`
			}{raw, attempts.Data})
		}
		task, err := decode[client.Task](raw)
		if err != nil {
			return err
		}
		p.showTask(task)
		return p.attemptTable(attempts.Data)
	}
	return command
}

func (p *program) showTask(task client.Task) {
	rows := [][]string{
		{"id", task.ID},
		{"status", string(task.Status)},
		{"kind", string(task.Kind)},
		{"target", dash(dereference(task.Target))},
		{"merchant", task.MerchantID},
		{"stripe key", task.IdempotencyKey},
		{"scheduled for", p.when(task.ScheduledFor)},
		{"run at", p.when(task.RunAt)},
		{"attempts", fmt.Sprintf("%d of %d", task.Attempt, task.MaxAttempts)},
		{"first sent", p.whenSet(task.FirstSentAt)},
		{"created", p.when(task.CreatedAt)},
		{"finished", p.whenSet(task.FinishedAt)},
	}
	if retried := dereference(task.RetryOf); retried != "" {
		rows = append(rows, []string{"retry of", retried})
	}
	if result := task.Result; result != nil {
		rows = append(rows, []string{"result", strings.TrimSpace(fmt.Sprintf("%s %s %s", result.Object, result.ID, result.Status))},
			[]string{"request", dash(result.RequestID)})
	}
	if fault := task.LastError; fault != nil {
		rows = append(rows, []string{"last error", stripeError(*fault)}, []string{"", fault.Message},
			[]string{"request", dash(fault.RequestID)})
	}
	if len(task.Params) > 0 {
		rows = append(rows, []string{"params", string(task.Params)})
	}
	for _, name := range slices.Sorted(maps.Keys(task.Metadata)) {
		rows = append(rows, []string{"metadata", name + " = " + task.Metadata[name]})
	}
	p.table(rows)
}

func (p *program) attemptTable(items []json.RawMessage) error {
	if len(items) == 0 {
		p.printf("\nNo attempt has ended yet.\n")
		return nil
	}
	p.printf("\n")
	rows := [][]string{{"ATTEMPT", "STARTED", "TOOK", "OUTCOME", "REASON", "REQUEST", "ERROR"}}
	for _, item := range items {
		attempt, err := decode[client.Attempt](item)
		if err != nil {
			return err
		}
		fault := ""
		if attempt.Error != nil {
			fault = stripeError(*attempt.Error)
		}
		said := string(attempt.Outcome)
		if attempt.Replayed {
			said += " (replayed)"
		}
		rows = append(rows, []string{
			fmt.Sprint(attempt.Attempt), p.when(attempt.StartedAt), attempt.FinishedAt.Sub(attempt.StartedAt).Round(1e6).String(),
			said, string(attempt.Reason), dash(attempt.RequestID), fault,
		})
	}
	p.table(rows)
	return nil
}

// tasksChange returns a command that posts one verb to each task named. The first refusal ends it.
func (p *program) tasksChange(verb, short, done string) *cobra.Command {
	command := &cobra.Command{Use: verb + " ID…", Short: short, Args: atLeast(1, "the id of one task or more")}
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		api, err := p.connect(flags)
		if err != nil {
			return err
		}
		for _, id := range args {
			raw, err := api.Do(command.Context(), client.Call{
				Method: http.MethodPost, Path: tasksPath + "/" + url.PathEscape(id) + "/" + verb,
			})
			if err != nil {
				return fmt.Errorf("%s %s: %w", verb, plain(id), err)
			}
			if flags.json {
				if err := p.printJSON(raw); err != nil {
					return err
				}
				continue
			}
			task, err := decode[client.Task](raw)
			if err != nil {
				return err
			}
			p.printf("%s %s\n", done, plain(task.ID))
		}
		return nil
	}
	return command
}

func join[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ", ")
}

// fixedCompletion offers the values of a closed set to the shell.
func fixedCompletion[T ~string](command *cobra.Command, flag string, values []T) {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	// The only error is a flag that the command does not have.
	_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(texts, cobra.ShellCompDirectiveNoFileComp))
}
