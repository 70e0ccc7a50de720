package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const tasksPath = "/v1/tasks"

func (p *program) tasks() *cobra.Command {
	return group("tasks", "Schedule tasks, look at them, call them off, repeat them, decide about doubts, export their history",
		p.tasksList(), p.tasksCounts(), p.tasksShow(), p.tasksAttempts(), p.tasksChain(), p.tasksCreate(), p.tasksBatch(), p.tasksCancel(),
		p.tasksReschedule(), p.tasksRetry(), p.tasksResolve(), p.tasksBulk(), p.tasksExport())
}

// taskFilter are the flags that narrow tasks, in the words of the API and the console.
type taskFilter struct {
	status                                   []string
	merchant, kind, target, q, retryOf, from string
	to                                       string
	attention                                bool
}

func (f *taskFilter) add(command *cobra.Command) {
	f.addStatus(command)
	f.addRest(command)
}

func (f *taskFilter) addStatus(command *cobra.Command) {
	command.Flags().StringSliceVar(&f.status, "status", nil, "only those, more than one with commas: "+join(billing.Statuses()))
	listCompletion(command, "status", billing.Statuses())
}

func (f *taskFilter) addRest(command *cobra.Command) {
	f.addBulk(command)
	command.Flags().StringVar(&f.q, "q", "", "what you were told: an id of a task or merchant, acct_…, a Stripe object, req_…, cus_…, an intent, an Idempotency-Key, a value of metadata")
	command.Flags().StringVar(&f.retryOf, "retry-of", "", "only the one that repeats the task with this id")
	command.Flags().BoolVar(&f.attention, "attention", false, "only those that need a person: in doubt, or overdue without a reason")
}

// addBulk adds those that a bulk change takes too.
func (f *taskFilter) addBulk(command *cobra.Command) {
	command.Flags().StringVar(&f.merchant, "merchant", "", "only this merchant's, by id")
	command.Flags().StringVar(&f.kind, "kind", "", "only this kind, as invoice.pay")
	command.Flags().StringVar(&f.target, "target", "", "only those on this Stripe object")
	command.Flags().StringVar(&f.from, "from", "", "only those that run at this time or later, like 2030-01-31 or -2h (see help times)")
	command.Flags().StringVar(&f.to, "to", "", "only those that run before this time")
	fixedCompletion(command, "kind", billing.Kinds())
}

// query is the filter as parameters of a URL.
func (f *taskFilter) query(p *program) (url.Values, error) {
	members, err := f.members(p)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, value := range members {
		switch value := value.(type) {
		case time.Time:
			query.Set(name, value.Format(time.RFC3339Nano))
		case string:
			query.Set(name, value)
		}
	}
	for name, value := range map[string]string{"q": f.q, "retry_of": f.retryOf} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.attention {
		query.Set("attention", "true")
	}
	return query, nil
}

// members is what a bulk change takes of the filter.
func (f *taskFilter) members(p *program) (map[string]any, error) {
	for _, status := range f.status {
		if !billing.Status(status).Known() {
			return nil, usageError{errors.New("--status must be of " + join(billing.Statuses()))}
		}
	}
	members := map[string]any{}
	for name, value := range map[string]string{
		"status": strings.Join(f.status, ","), "merchant_id": f.merchant, "kind": f.kind, "target": f.target,
	} {
		if value != "" {
			members[name] = value
		}
	}
	for name, text := range map[string]string{"from": f.from, "to": f.to} {
		at, err := p.momentFlag("--"+name, text, pastOrFuture)
		if err != nil {
			return nil, err
		}
		if text != "" {
			members[name] = at
		}
	}
	return members, nil
}

func (p *program) tasksList() *cobra.Command {
	command := &cobra.Command{
		Use: "list", Short: "List tasks, newest first", Args: exactly(0, "no arguments"),
		Example: "  billctl tasks list --status failed,in_doubt --from -2h\n  billctl tasks list --q req_9tYX2u --json\n  billctl tasks list --attention --watch",
	}
	var filter taskFilter
	filter.add(command)
	return p.listBy(command, tasksPath, func() (url.Values, error) { return filter.query(p) }, p.taskTable(command))
}

func (p *program) tasksCounts() *cobra.Command {
	command := &cobra.Command{
		Use: "counts", Short: "Count tasks by status, each up to 10,000", Args: exactly(0, "no arguments"),
	}
	var filter taskFilter
	filter.addRest(command)
	var flags apiFlags
	watch := watchFlags{news: told}
	flags.add(command)
	watch.add(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		query, err := filter.query(p)
		if err != nil {
			return err
		}
		return p.look(command.Context(), flags, watch, func(look *look) (snapshot, error) {
			raw, err := look.api.Do(look.ctx, client.Call{Method: http.MethodGet, Path: tasksPath + "/counts", Query: query})
			if err != nil {
				return snapshot{}, err
			}
			counts, err := decode[listing](raw)
			if err != nil {
				return snapshot{}, err
			}
			seen, err := p.listed(counts, column([]string{"STATUS", "TASKS"}, func(one client.StatusCount) []string {
				return []string{string(one.Status), counted(one.Count, one.Capped)}
			}))
			seen.document = raw
			return seen, err
		})
	}
	return command
}

// counted shows a number that may have stopped counting.
func counted(n int, capped bool) string {
	if capped {
		return fmt.Sprintf("%d or more", n)
	}
	return fmt.Sprint(n)
}

// taskTable adds the flag that chooses between the columns that fit a terminal and all of them.
func (p *program) taskTable(command *cobra.Command) func() columns {
	wide := command.Flags().Bool("wide", false, "show every column, in full: the merchant, the exact time, attempts and result too")
	return func() columns {
		if *wide {
			return p.taskColumns()
		}
		return p.taskColumnsThatFit()
	}
}

// taskColumnsThatFit are those that a person looks for first. Ids are whole, to be copied, where there is room for them.
func (p *program) taskColumnsThatFit() columns {
	show := column([]string{"ID", "STATUS", "KIND", "OBJECT", "DUE", "ERROR"}, func(task client.Task) []string {
		object, failure := dereference(task.Target), ""
		if object == "" && task.Result != nil {
			object = task.Result.ID
		}
		if e := task.LastError; e != nil {
			failure = cmp.Or(e.DeclineCode, e.Code, e.Type, e.Message)
		}
		return []string{task.ID, string(task.Status), string(task.Kind), dash(object), relative(task.RunAt.Sub(p.Now())), failure}
	})
	whole := p.taskColumns()
	show.whole = &whole
	show.narrow = []narrowing{{column: 3, least: 14, inside: true}, {column: 5, least: 8}}
	return show
}

// taskColumns are all that a line has room for.
func (p *program) taskColumns() columns {
	heading := []string{"ID", "STATUS", "KIND", "TARGET", "MERCHANT", "RUN AT", "ATTEMPT", "RESULT"}
	return column(heading, func(task client.Task) []string {
		return []string{
			task.ID, string(task.Status), string(task.Kind), dash(dereference(task.Target)), task.MerchantID, p.when(task.RunAt),
			fmt.Sprintf("%d/%d", task.Attempt, task.MaxAttempts), outcome(task),
		}
	})
}

func (p *program) tasksShow() *cobra.Command {
	command := &cobra.Command{
		Use: "show ID", Short: "Show one task and its attempts", Args: exactly(1, "the id of one task"),
		Long: "Show one task and its attempts. With --watch it ends by itself when the task has ended.",
	}
	return p.watched(command, told, func(args []string) source {
		path := tasksPath + "/" + url.PathEscape(args[0])
		return func(look *look) (snapshot, error) {
			raw, err := look.api.Do(look.ctx, client.Call{Method: http.MethodGet, Path: path})
			if err != nil {
				return snapshot{}, err
			}
			attempts, err := look.api.List(look.ctx, path+"/attempts", nil, 0)
			if err != nil {
				return snapshot{}, err
			}
			return p.taskSeen(raw, attempts.Data)
		}
	})
}

// taskSeen is the picture of a task.
func (p *program) taskSeen(raw json.RawMessage, attempts []json.RawMessage) (snapshot, error) {
	task, err := decode[client.Task](raw)
	if err != nil {
		return snapshot{}, err
	}
	shown, err := decodeAll[client.Attempt](attempts)
	if err != nil {
		return snapshot{}, err
	}
	only, err := p.taskColumns().line(raw)
	if err != nil {
		return snapshot{}, err
	}
	only.key = task.ID
	return snapshot{
		document: struct {
			Task     json.RawMessage   `json:"task"`
			Attempts []json.RawMessage `json:"attempts"`
		}{raw, attempts},
		draw: func() {
			p.showTask(task)
			p.attemptTable(shown)
		},
		lines: []line{only},
		over:  task.Status.Terminal(),
	}, nil
}

func decodeAll[T any](items []json.RawMessage) ([]T, error) {
	values := make([]T, len(items))
	for i, item := range items {
		var err error
		if values[i], err = decode[T](item); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// tasksAttempts lists what show shows beside the task.
func (p *program) tasksAttempts() *cobra.Command {
	command := &cobra.Command{
		Use: "attempts ID", Short: "List the attempts of a task, first to last", Args: exactly(1, "the id of one task"),
	}
	return p.watched(command, told, func(args []string) source {
		return func(look *look) (snapshot, error) {
			found, err := look.api.List(look.ctx, tasksPath+"/"+url.PathEscape(args[0])+"/attempts", nil, 0)
			if err != nil {
				return snapshot{}, err
			}
			attempts, err := decodeAll[client.Attempt](found.Data)
			if err != nil {
				return snapshot{}, err
			}
			rows, _ := p.attemptRows(attempts)
			seen := snapshot{document: found, draw: func() { p.attemptTable(attempts) }}
			for i, item := range found.Data {
				seen.lines = append(seen.lines, line{key: fmt.Sprint(attempts[i].Attempt), document: item, cells: rows[i]})
			}
			return seen, nil
		}
	})
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
	// The only error is a flag that the command does not have.
	_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(texts(values), cobra.ShellCompDirectiveNoFileComp))
}

// listCompletion does so for a flag that takes several with commas.
func listCompletion[T ~string](command *cobra.Command, flag string, values []T) {
	_ = command.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before, named := "", []string{}
		if at := strings.LastIndex(typed, ","); at >= 0 {
			before, named = typed[:at+1], strings.Split(typed[:at], ",")
		}
		var offers []string
		for _, value := range texts(values) {
			if !slices.Contains(named, value) {
				offers = append(offers, before+value)
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

func texts[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = string(value)
	}
	return list
}
