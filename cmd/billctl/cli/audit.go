package cli

import (
	"encoding/json"
	"net/url"

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
	var flags listFlags
	flags.add(command)
	filters := map[string]*string{
		"object": command.Flags().String("object", "", "only what was done to the object with this id"),
		"actor":  command.Flags().String("actor", "", "only what was done by this key's id, ADMIN_API_KEY or billctl"),
		"action": command.Flags().String("action", "", "only this, like task.cancel"),
		"from":   command.Flags().String("from", "", "only from this time on, like 2030-01-31T09:00:00Z"),
		"to":     command.Flags().String("to", "", "only before this time"),
	}
	fixedCompletion(command, "action", billing.Actions())
	command.RunE = func(command *cobra.Command, _ []string) error {
		query := url.Values{}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		return p.list(command, "/v1/audit", query, flags, p.auditTable)
	}
	return command
}

func (p *program) auditTable(items []json.RawMessage) error {
	rows := [][]string{{"WHEN", "ACTOR", "ACTION", "OBJECT", "FROM", "REQUEST", "DETAIL"}}
	for _, item := range items {
		entry, err := decode[client.AuditEntry](item)
		if err != nil {
			return err
		}
		actor := entry.Actor.ID
		if name := dereference(entry.Actor.Name); name != "" {
			actor += " (" + name + ")"
		}
		detail := string(entry.Detail)
		if detail == "{}" {
			detail = ""
		}
		rows = append(rows, []string{
			p.when(entry.At), actor, string(entry.Action), entry.Object.ID, dash(dereference(entry.Address)), dash(dereference(entry.RequestID)), detail,
		})
	}
	p.table(rows)
	return nil
}
