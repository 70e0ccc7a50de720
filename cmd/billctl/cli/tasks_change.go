package cli

import (
	"errors"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// tasksChain shows the tasks that repeat one another.
func (p *program) tasksChain() *cobra.Command {
	command := &cobra.Command{
		Use: "chain ID", Short: "List a task with those it repeats and that repeat it, first to last", Args: exactly(1, "the id of one task"),
	}
	columns := p.taskTable(command)
	return p.watched(command, told, func(args []string) source {
		return func(look *look) (snapshot, error) {
			var chain listing
			if err := look.api.Get(look.ctx, tasksPath+"/"+url.PathEscape(args[0])+"/chain", nil, &chain); err != nil {
				return snapshot{}, err
			}
			return p.listed(chain, columns())
		}
	})
}

func (p *program) tasksCancel() *cobra.Command {
	command := &cobra.Command{Use: "cancel ID…", Short: "Call tasks off that have not been sent", Args: atLeastOne("the id of one task or more")}
	return changeEach(p, command, change[client.Task]{
		path: tasksPath, verb: "cancel", doing: "cancel", reason: true,
		say: func(_ string, task client.Task, _ bool) { p.printf("canceled %s\n", plain(task.ID)) },
	})
}

func (p *program) tasksRetry() *cobra.Command {
	command := &cobra.Command{
		Use: "retry ID…", Args: atLeastOne("the id of one task or more"),
		Short: "Schedule failed or canceled tasks anew, each as a new task: for now, or for its time if that lies ahead",
	}
	return changeEach(p, command, change[client.Task]{
		path: tasksPath, verb: "retry", doing: "retry", reason: true,
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
	command := &cobra.Command{
		Use: "reschedule ID… --at TIME", Short: "Move tasks to another time that have not been sent", Args: atLeastOne("the id of one task or more"),
	}
	at := ""
	command.Flags().StringVar(&at, "at", "", "when, like 2030-01-31T09:00:00Z or 3d (see help times)")
	return changeEach(p, command, change[client.Task]{
		path: tasksPath, verb: "reschedule", doing: "reschedule", reason: true,
		body: func() (map[string]any, error) {
			if at == "" {
				return nil, errors.New("--at is needed")
			}
			body := map[string]any{}
			return body, p.addMoment(body, "run_at", "--at", at)
		},
		say: func(_ string, task client.Task, _ bool) { p.printf("%s runs %s\n", plain(task.ID), p.when(task.RunAt)) },
	})
}

func (p *program) tasksResolve() *cobra.Command {
	command := &cobra.Command{
		Use: "resolve ID --as succeeded|failed --note TEXT", Short: "Say what became of a task in doubt, and how you know",
		Long: "Say what became of a task in doubt, and how you know. Look at Stripe first, at what tasks show says was sent: nothing else decides\n" +
			"about the task afterwards.",
		Args: exactly(1, "the id of one task"),
	}
	outcome, note := "", ""
	command.Flags().StringVar(&outcome, "as", "", "what became of it: succeeded or failed")
	command.Flags().StringVar(&note, "note", "", "how you know; it is kept with the task (--reason says the same)")
	command.Flags().StringVar(&note, "reason", "", "the same as --note")
	fixedCompletion(command, "as", []billing.Status{billing.Succeeded, billing.Failed})
	return changeEach(p, command, change[client.Task]{
		path: tasksPath, verb: "resolve", doing: "resolve",
		body: func() (map[string]any, error) {
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
}
