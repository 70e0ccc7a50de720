package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/roles"
)

func (p *program) roles() *cobra.Command {
	return group("roles", "Separate roles for what uses the database", p.rolesApply())
}

func (p *program) rolesApply() *cobra.Command {
	command := &cobra.Command{
		Use: "apply", Short: "Make the roles and renew what each may do",
		Long: "Run deploy/roles.sql on DATABASE_URL: make the roles billonce_migrate, billonce_api, billonce_worker, billonce_read and\n" +
			"billonce_rotate, hand the schema over to the first, and renew what each may do. Any number of times; the first takes a\n" +
			"superuser, or one who owns the database and may create roles.\n\n" +
			"With --dir each role that has a folder there (migrate, api, worker, read, rotate) may log in by the URL in its file\n" +
			"database_url, which is made if it is missing: point DATABASE_URL_FILE at it.",
		Args: exactly(0, "no arguments"),
	}
	dir := command.Flags().String("dir", "", "the folder with the roles' folders")
	command.RunE = func(command *cobra.Command, _ []string) (err error) {
		url, err := p.databaseURL()
		if err != nil {
			return err
		}
		db, err := roles.Open(url)
		if err != nil {
			return configError{err}
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if err := db.ApplyRoles(command.Context()); err != nil {
			return err
		}
		p.printf("roles applied\n")
		if *dir == "" {
			return nil
		}
		paths, err := roles.LetIn(command.Context(), db, url, *dir)
		slices.Sort(paths)
		for _, path := range paths {
			p.printf("logs in by %s\n", path)
		}
		return err
	}
	return command
}
