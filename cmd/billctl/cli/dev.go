package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/dev"
)

const maxWorkers = 64

func (p *program) dev() *cobra.Command {
	command := &cobra.Command{
		Use: "dev", Short: "Run a whole billonce on this machine, with a simulator in place of Stripe",
		Long: "Run a whole billonce on this machine: database, simulator, API and workers, with sample merchants and tasks, until\n" +
			"Ctrl-C. The database is a private PostgreSQL under .dev, or that of DATABASE_URL.",
		Args: exactly(0, "no arguments"),
	}
	var flags devFlags
	command.Flags().BoolVar(&flags.demo, "demo", false, "play a script instead: exit 0 if each task had exactly one effect")
	command.Flags().IntVar(&flags.workers, "workers", 0, "worker processes (default 1, for the demo 2)")
	command.Flags().StringVar(&flags.apiAddr, "api-addr", "", "where the API listens (default 127.0.0.1:8080, or another port if that is taken)")
	command.RunE = func(command *cobra.Command, _ []string) error {
		opts, err := p.devOptions(flags)
		if err != nil {
			return err
		}
		if flags.demo {
			return dev.Demo(command.Context(), opts)
		}
		return dev.Run(command.Context(), opts)
	}
	command.AddCommand(p.devExec(), p.devPostgres())
	return command
}

type devFlags struct {
	demo    bool
	workers int
	apiAddr string
}

func (p *program) devOptions(flags devFlags) (dev.Options, error) {
	if flags.workers == 0 {
		flags.workers = 1
		if flags.demo {
			flags.workers = 2
		}
	}
	if flags.workers < 1 || flags.workers > maxWorkers {
		return dev.Options{}, usageError{fmt.Errorf("--workers must be 1 to %d", maxWorkers)}
	}
	url, _, err := p.variable("DATABASE_URL")
	if err != nil {
		return dev.Options{}, err
	}
	return dev.Options{
		Workers: flags.workers, APIAddr: flags.apiAddr, Quiet: p.quiet, DatabaseURL: url, Out: p.out, Err: p.err, Now: p.Now,
	}, nil
}

func (p *program) devExec() *cobra.Command {
	command := &cobra.Command{
		Use: "exec -- COMMAND [ARGUMENT…]", Short: "Run a command beside a throw-away PostgreSQL",
		Long: "Run a command beside a throw-away PostgreSQL, whose URL it finds in BILLONCE_TEST_DATABASE_URL. The exit code is the\n" +
			"command's; nothing is left behind.",
		Example: "  billctl dev exec -- go test ./...",
		Args:    atLeastOne("a command after --"),
		RunE: func(command *cobra.Command, args []string) error {
			code, err := dev.Exec(command.Context(), args, p.In, p.Out, p.Err)
			if err != nil {
				return err
			}
			if code != 0 {
				return exitError{code}
			}
			return nil
		},
	}
	command.Flags().SetInterspersed(false)
	return command
}

func (p *program) devPostgres() *cobra.Command {
	return &cobra.Command{
		Use: "postgres", Short: "Run only the private PostgreSQL of this checkout, and print its URL",
		Args: exactly(0, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			if _, found := p.lookup("DATABASE_URL"); found {
				return usageError{errors.New("DATABASE_URL is set: there is a database already")}
			}
			return dev.Database(command.Context(), dev.Options{Out: p.out, Err: p.err, Now: p.Now})
		},
	}
}
