package cli

import (
	"errors"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

func (p *program) audit() *cobra.Command {
	command := &cobra.Command{
		Use: "audit", Short: "List who changed what, newest first",
		Long: "List who changed what, newest first. It takes a key with the scope admin, or ADMIN_API_KEY.\n\n" +
			"Who scheduled a task is told with --object ID and with --action task.create.",
		Args: exactly(0, "no arguments"),
	}
	filters := map[string]*string{
		"object": command.Flags().String("object", "", "only what was done to the object with this id"),
		"actor":  command.Flags().String("actor", "", "only what was done by this key's id, ADMIN_API_KEY or billctl"),
		"action": command.Flags().String("action", "", "only this, like task.cancel"),
	}
	from := command.Flags().String("from", "", "only from this time on, like 2030-01-31T09:00:00Z or -2h (see help times)")
	to := command.Flags().String("to", "", "only before this time")
	fixedCompletion(command, "action", billing.Actions())
	return p.list(command, "/v1/audit", func() (url.Values, error) {
		query, err := given(filters)()
		for name, text := range map[string]string{"from": *from, "to": *to} {
			at, wrong := p.momentFlag("--"+name, text, pastOrFuture)
			if text != "" {
				query.Set(name, at.Format(time.RFC3339Nano))
			}
			err = errors.Join(err, wrong)
		}
		return query, err
	}, p.auditColumns())
}

func (p *program) auditColumns() columns {
	return column([]string{"WHEN", "ACTOR", "ACTION", "OBJECT", "FROM", "REQUEST", "DETAIL"}, func(entry client.AuditEntry) []string {
		actor := entry.Actor.ID
		if name := dereference(entry.Actor.Name); name != "" {
			actor += " (" + name + ")"
		}
		detail := string(entry.Detail)
		if detail == "{}" {
			detail = ""
		}
		return []string{
			p.when(entry.At), actor, string(entry.Action), entry.Object.ID, dash(dereference(entry.Address)), dash(dereference(entry.RequestID)), detail,
		}
	})
}
