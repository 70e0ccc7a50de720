package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// reference prints docs/billctl.md, which a test compares with the commands that there are.
func (p *program) reference() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print every command and its purpose, as docs/billctl.md has them", Args: exactly(0, "no arguments"), Hidden: true,
		RunE: func(command *cobra.Command, _ []string) error {
			writeReference(p.out, command.Root())
			return nil
		},
	}
}

const referenceHead = `# billctl

The operator's command. This page is made from the command itself (` + "`billctl reference`" + `); a test compares them. Flags are in
` + "`billctl COMMAND --help`" + `, and filters are those of the API and the console.

- Results go to standard output, everything else to standard error; ` + "`--quiet`" + ` leaves out what is neither result nor error.
- ` + "`--json`" + ` prints the API's own documents. With ` + "`--watch`" + `, and from ` + "`tasks batch`" + ` and ` + "`tasks export`" + `, it is one document to a line.
- ` + "`--watch`" + ` looks every two seconds, and soon after a task changes: a terminal is redrawn, elsewhere what is new or has changed is
  appended, one line for each thing, as it is then. That time passes is no change: ` + "`overview --watch`" + ` in a pipe is a line with
  all its numbers whenever one of them has changed, and silent while none does. Ctrl-C ends it, with code 0.
- ` + "`tasks list` and `tasks chain`" + ` fit 120 columns, and cut ids in the middle (` + "`in_1Pq…x7Zk`" + `) only where they must; ` + "`--wide`" + ` shows every
  column in full. Scripts take ` + "`--json`" + `.
- Secrets are read from files, standard input, the terminal or the environment, never from arguments, and are never printed, but for
  a key that is made, once.
- A context's key file that others than its owner may use is warned of, once for each command, on standard error.
- Completion: ` + "`source <(billctl completion bash)`" + `, or ` + "`zsh`, `fish`" + `.

| variable | meaning |
|---|---|
| ` + "`BILLONCE_URL`" + ` | where the API is |
| ` + "`BILLONCE_API_KEY`, `ADMIN_API_KEY`" + ` | the API's key, the first that is set; with ` + "`_FILE`" + ` the name of a file that holds it |
| ` + "`BILLONCE_CONTEXT`" + ` | an installation by its name: ` + "`billctl context --help`" + ` |
| ` + "`BILLONCE_ALLOW_PLAINTEXT`" + ` | ` + "`true`" + ` allows a key to be sent to another machine without TLS |
| ` + "`DATABASE_URL`" + ` | for what reads or changes the database itself: ` + "`doctor`, `migrate`, `roles`, `keys`, `tasks export`" + ` |
| ` + "`STRIPE_API_URL`" + ` | what ` + "`doctor`" + ` tries to reach, Stripe's own unless told otherwise |
`

// writeReference writes the page.
func writeReference(out io.Writer, root *cobra.Command) {
	_, _ = fmt.Fprintf(out, "%s\n## Exit codes\n\n| code | meaning |\n|---|---|\n", referenceHead)
	for _, one := range exitMeanings() {
		_, _ = fmt.Fprintf(out, "| %d | %s |\n", one.Code, one.Meaning)
	}
	_, _ = fmt.Fprint(out, "\n## Commands\n\n| command | purpose |\n|---|---|\n")
	writeCommands(out, root)
	_, _ = fmt.Fprint(out, referenceTail)
}

// referenceTail explains findings of doctor that the runbook has no entry for.
const referenceTail = `
## What doctor finds

` + "`billctl doctor`" + ` says with each finding what to do, and where it is explained: in the runbook, or here.

### Settings

PostgreSQL must keep what it has confirmed. That a task may have been sent is recorded before it is sent; with ` + "`fsync`" + `,
` + "`full_page_writes`" + ` or ` + "`synchronous_commit`" + ` off a crash may lose that record, and the task be taken for one that never was. Set them on for the
server, and look at what is set for the database and the roles: ` + "`SELECT * FROM pg_db_role_setting`" + `. Without ` + "`autovacuum`" + ` the tables of
tasks fill with dead rows within hours.

### Clocks

The database's clock decides what is due, whose lease has run out and how old an idempotency key is. Stripe's clock decides how long a
key is remembered. Two seconds apart is a warning, thirty a failure. Set the wrong one right slowly (chrony slews by itself); workers
notice a clock that is stepped back and count on.

### Tables

Dead rows that outnumber the living, or a table that takes five times what its rows need, make claims slow. Mostly something keeps
autovacuum from taking rows away: see the next entry. ` + "`VACUUM scheduled_tasks`" + ` helps at once and blocks nobody; only ` + "`VACUUM FULL`" + ` or
pg_repack give the space back, the first under a lock for as long as it takes.

### Transactions

While a transaction is open, no row that was deleted since it began can be taken away. Five minutes is a warning, an hour a failure. Dumps
and exports of others, sessions that are idle in a transaction, forgotten prepared transactions and replication slots are what it mostly
is. The oldest row may be two thousand million transactions old at most; autovacuum sees to that unless it is kept from it.
`

func writeCommands(out io.Writer, command *cobra.Command) {
	if command.Runnable() && !command.HasAvailableSubCommands() || command.Name() == "dev" {
		use := strings.TrimPrefix(command.UseLine(), command.Root().Name()+" ")
		use = strings.TrimSuffix(use, " [flags]")
		_, _ = fmt.Fprintf(out, "| `billctl %s` | %s |\n", strings.ReplaceAll(use, "|", `\|`), command.Short)
	}
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() && below.Name() != "help" && below.Name() != "completion" {
			writeCommands(out, below)
		}
	}
}
