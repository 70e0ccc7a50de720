package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// tasksChain shows the tasks that repeat one another.
func (p *program) tasksChain() *cobra.Command {
	command := &cobra.Command{
		Use: "chain ID", Short: "List a task with those it repeats and that repeat it, first to last", Args: exactly(1, "the id of one task"),
	}
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		api, err := p.connect(flags)
		if err != nil {
			return err
		}
		var chain client.List
		if err := api.Get(command.Context(), tasksPath+"/"+url.PathEscape(args[0])+"/chain", nil, &chain); err != nil {
			return err
		}
		if flags.json {
			return p.printJSON(chain)
		}
		return p.taskTable(chain.Data)
	}
	return command
}

// taskVerb is a command that posts to tasks.
type taskVerb struct {
	verb, use, short string
	many             bool
	body             func() (any, error) // nil: none
	say              func(of string, task client.Task, replayed bool)
}

// taskChange makes the command. The first refusal ends it.
func (p *program) taskChange(of taskVerb) *cobra.Command {
	command := &cobra.Command{Use: of.verb + " " + of.use, Short: of.short, Args: exactly(1, "the id of one task")}
	if of.many {
		command.Args = atLeastOne("the id of one task or more")
	}
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		var body any
		if of.body != nil {
			made, err := of.body()
			if err != nil {
				return usageError{err}
			}
			body = made
		}
		api, err := p.connect(flags)
		if err != nil {
			return err
		}
		for _, id := range args {
			answer, err := api.Send(command.Context(), client.Call{
				Method: http.MethodPost, Path: tasksPath + "/" + url.PathEscape(id) + "/" + of.verb, Body: body,
			})
			if err != nil {
				return fmt.Errorf("%s %s: %w", of.verb, plain(id), err)
			}
			err = tell(p, flags, answer.Body, func(task client.Task) { of.say(plain(id), task, answer.Replayed) })
			if err != nil {
				return err
			}
		}
		return nil
	}
	return command
}

func (p *program) tasksCancel() *cobra.Command {
	return p.taskChange(taskVerb{
		verb: "cancel", use: "ID…", short: "Call tasks off that have not been sent", many: true,
		say: func(_ string, task client.Task, _ bool) { p.printf("canceled %s\n", plain(task.ID)) },
	})
}

func (p *program) tasksRetry() *cobra.Command {
	return p.taskChange(taskVerb{
		verb: "retry", use: "ID…", many: true,
		short: "Schedule failed or canceled tasks anew, each as a new task: for now, or for its time if that lies ahead",
		say: func(of string, task client.Task, replayed bool) {
			if replayed {
				p.printf("%s has been repeated before, by %s: %s, to run %s\n", of, plain(task.ID), task.Status, p.when(task.RunAt))
				return
			}
			p.printf("scheduled %s, to run %s\n", plain(task.ID), p.when(task.RunAt))
		},
	})
}

func (p *program) tasksReschedule() *cobra.Command {
	at := ""
	command := p.taskChange(taskVerb{
		verb: "reschedule", use: "ID… --at TIME", short: "Move tasks to another time that have not been sent", many: true,
		body: func() (any, error) {
			moment, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return nil, errors.New("--at must be a time as in RFC 3339, like 2030-01-31T09:00:00Z")
			}
			return map[string]any{"run_at": moment}, nil
		},
		say: func(_ string, task client.Task, _ bool) { p.printf("%s runs %s\n", plain(task.ID), p.when(task.RunAt)) },
	})
	command.Flags().StringVar(&at, "at", "", "when, like 2030-01-31T09:00:00Z")
	return command
}

func (p *program) tasksResolve() *cobra.Command {
	outcome, note := "", ""
	command := p.taskChange(taskVerb{
		verb: "resolve", use: "ID --as succeeded|failed --note TEXT", short: "Say what became of a task in doubt, and how you know",
		body: func() (any, error) {
			if decided := billing.Status(outcome); decided != billing.Succeeded && decided != billing.Failed {
				return nil, errors.New("--as must be succeeded or failed")
			}
			if strings.TrimSpace(note) == "" {
				return nil, errors.New("--note must say how you know")
			}
			return map[string]any{"outcome": outcome, "note": note}, nil
		},
		say: func(_ string, task client.Task, _ bool) { p.printf("%s is %s\n", plain(task.ID), task.Status) },
	})
	command.Flags().StringVar(&outcome, "as", "", "what became of it: succeeded or failed")
	command.Flags().StringVar(&note, "note", "", "how you know; it is kept with the task")
	fixedCompletion(command, "as", []billing.Status{billing.Succeeded, billing.Failed})
	return command
}

// merchantChange returns a command that posts one verb to each merchant named.
func (p *program) merchantChange(verb, short string) *cobra.Command {
	command := &cobra.Command{Use: verb + " ID…", Short: short, Args: atLeastOne("the id of one merchant or more")}
	return postEach(p, command, merchantsPath, verb, func(merchant client.Merchant) {
		p.printf("%s is %s\n", plain(merchant.ID), plain(merchantStatus(merchant)))
	})
}
