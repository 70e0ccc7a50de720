package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const tasksPath = "/v1/tasks"

func (p *program) tasks() *cobra.Command {
	return group("tasks", "Look at tasks, call them off, repeat them, decide about doubts, export their history",
		p.tasksList(), p.tasksShow(), p.tasksChain(), p.tasksCancel(), p.tasksReschedule(), p.tasksRetry(), p.tasksResolve(), p.tasksExport())
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
