package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/schema"
)

func (p *program) migrate() *cobra.Command {
	command := group("migrate", "Bring the schema of DATABASE_URL up to date, or back", p.migrateUp(), p.migrateDown(), p.migrateStatus())
	command.Long = "Bring the schema of DATABASE_URL up to date, or back.\n\n" +
		"Any number may run at once: each migration is applied by one of them. DATABASE_URL_FILE may name a file instead.\n" +
		"The plain goose command works on the same table: goose -dir db/migrations postgres \"$DATABASE_URL\" up"
	return command
}

// withSchema adds --wait to a command and runs it with an open migrator; lose lets it delete the audit log.
func (p *program) withSchema(command *cobra.Command, lose *bool, run func(context.Context, *schema.Migrator) error) *cobra.Command {
	wait := command.Flags().Duration("wait", 0, "wait this long for the database to answer, as 60s")
	command.Args = exactly(0, "no arguments")
	command.RunE = func(command *cobra.Command, _ []string) error {
		url, err := p.databaseURL()
		if err != nil {
			return err
		}
		migrator, err := schema.Open(url, *lose)
		if err != nil {
			return configError{err}
		}
		if *wait > 0 {
			err = migrator.Wait(command.Context(), *wait)
		}
		if err == nil {
			err = run(command.Context(), migrator)
		}
		return errors.Join(err, migrator.Close())
	}
	return command
}

func (p *program) migrateUp() *cobra.Command {
	command := &cobra.Command{
		Use: "up", Short: "Apply every migration that is missing",
		Long: "Apply every migration that is missing. Where the schema belongs to billonce_migrate, renew what the roles may do as well;\n" +
			"see billctl roles apply.",
	}
	return p.withSchema(command, new(bool), func(ctx context.Context, migrator *schema.Migrator) error {
		steps, err := migrator.Up(ctx)
		for _, step := range steps {
			p.printf("applied %s (%s)\n", filepath.Base(step.Name), step.Took.Round(time.Millisecond))
		}
		if err == nil && len(steps) == 0 {
			p.printf("nothing to apply\n")
		}
		if err != nil {
			return err
		}
		renewed, err := migrator.RenewGrants(ctx)
		if err == nil && !renewed {
			p.sayf("What the roles may do was not renewed, because the schema does not belong to billonce_migrate, this user is no member of it,\n" +
				"or the schema is newer than this build. Services that log in as the roles may lack rights to what is new: run billctl roles apply\n" +
				"of the newest build as a superuser, or as the owner of the database who may create roles.\n")
		}
		return err
	})
}

func (p *program) migrateDown() *cobra.Command {
	command := &cobra.Command{
		Use: "down", Short: "Roll the last migration back",
		Long: "Roll the last migration back. What its tables held is lost.\n\n" +
			"The one that made the audit log is rolled back only while the log is empty, or with --lose-audit-log.",
	}
	lose := command.Flags().Bool("lose-audit-log", false, "delete the audit log, if its migration is the last")
	return p.withSchema(command, lose, func(ctx context.Context, migrator *schema.Migrator) error {
		step, found, err := migrator.Down(ctx)
		if err != nil {
			return err
		}
		if !found {
			p.printf("nothing to roll back\n")
			return nil
		}
		p.printf("rolled back %s (%s)\n", filepath.Base(step.Name), step.Took.Round(time.Millisecond))
		return nil
	})
}

func (p *program) migrateStatus() *cobra.Command {
	command := &cobra.Command{Use: "status", Short: "Show which migrations the database has"}
	return p.withSchema(command, new(bool), func(ctx context.Context, migrator *schema.Migrator) error {
		states, err := migrator.Status(ctx)
		if err != nil {
			return err
		}
		rows := [][]string{{"VERSION", "NAME", "APPLIED"}}
		var current int64
		for _, state := range states {
			applied := "no"
			if state.Applied {
				applied = state.AppliedAt.UTC().Format(time.RFC3339)
				current = max(current, state.Version)
			}
			rows = append(rows, []string{fmt.Sprint(state.Version), filepath.Base(state.Name), applied})
		}
		p.table(rows)
		p.printf("\nThe database is at version %d; this build needs version %d.\n", current, schema.Required)
		return nil
	})
}
