package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/export"
	"billonce/cmd/billctl/progress"
	"billonce/pkg/billing"
	"billonce/pkg/store"
)

// exportFlags are what tasks export is told.
type exportFlags struct {
	output, from, to, by, merchant, status, after string
}

func (p *program) tasksExport() *cobra.Command {
	command := &cobra.Command{
		Use: "export", Short: "Write the history of tasks, archived ones too, one JSON object per line", Args: exactly(0, "no arguments"),
		Long: "Write the history of tasks, one JSON object per line and oldest first: each as the API shows it, with its attempts.\n\n" +
			"It reads DATABASE_URL itself, and finds archived tasks as well as living ones. Every task that exists when it begins is\n" +
			"written once. What was interrupted goes on with --after and the id that the interrupted export named at its end.",
	}
	var flags exportFlags
	command.Flags().StringVar(&flags.output, "output", "", "write to this file, which must not exist yet, or with --after is appended to")
	command.Flags().StringVar(&flags.from, "from", "", "only from this time on, like 2026-01-31, 2026-01-31T09:00:00Z or -7d")
	command.Flags().StringVar(&flags.to, "to", "", "only before this time")
	command.Flags().StringVar(&flags.by, "by", "created", "which time --from and --to mean: created or finished")
	command.Flags().StringVar(&flags.merchant, "merchant", "", "only this merchant's, by id")
	command.Flags().StringVar(&flags.status, "status", "", "only those: "+join(billing.Statuses()))
	command.Flags().StringVar(&flags.after, "after", "", "only after the task with this id, to go on")
	fixedCompletion(command, "status", billing.Statuses())
	fixedCompletion(command, "by", []string{"created", "finished"})
	command.RunE = func(command *cobra.Command, _ []string) error {
		filter, after, err := flags.read(p.Now())
		if err != nil {
			return usageError{err}
		}
		return p.export(command.Context(), flags, filter, after)
	}
	return command
}

// read judges the flags.
func (f exportFlags) read(now time.Time) (filter store.HistoryFilter, after billing.TaskID, err error) {
	var faults []error
	fault := func(err error, text string) {
		if err != nil {
			faults = append(faults, errors.New(text))
		}
	}
	filter.From, err = readMoment(f.from, now, pastOrFuture)
	fault(err, "--from must be "+momentForms)
	filter.To, err = readMoment(f.to, now, pastOrFuture)
	fault(err, "--to must be "+momentForms)
	if f.merchant != "" {
		filter.MerchantID, err = billing.ParseMerchantID(f.merchant)
		fault(err, "--merchant must be the id of a merchant")
	}
	if f.after != "" {
		after, err = billing.ParseTaskID(f.after)
		fault(err, "--after must be the id of a task")
	}
	if filter.Status = billing.Status(f.status); f.status != "" && !filter.Status.Known() {
		faults = append(faults, errors.New("--status must be one of "+join(billing.Statuses())))
	}
	if filter.ByEnd = f.by == "finished"; !filter.ByEnd && f.by != "created" {
		faults = append(faults, errors.New("--by must be created or finished"))
	}
	return filter, after, errors.Join(faults...)
}

func (p *program) export(ctx context.Context, flags exportFlags, filter store.HistoryFilter, after billing.TaskID) (err error) {
	url, err := p.databaseURL()
	if err != nil {
		return err
	}
	db, err := store.Open(store.Options{URL: url, MaxConns: 1, Name: "billctl tasks export"})
	if err != nil {
		return configError{err}
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.RequireSchema(ctx); err != nil {
		return err
	}
	out, closeOut, err := p.exportTo(flags)
	if err != nil {
		return err
	}
	state, err := export.Run(ctx, db, filter, after, out, p.meter(progress.Words{Doing: "exporting", Things: "tasks", Done: "exported"}))
	err = errors.Join(err, closeOut())
	if err == nil {
		p.notef("exported %d tasks\n", state.Written)
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		err = errors.New("interrupted")
	}
	if state.Last != "" {
		return fmt.Errorf("%w; %d tasks were exported: go on with --after %s", err, state.Written, state.Last)
	}
	return err
}

// exportTo opens the place that is written to. Whole pages reach it at once, so that what was exported is there.
func (p *program) exportTo(flags exportFlags) (out io.Writer, done func() error, err error) {
	if flags.output == "" {
		return p.out, func() error { return nil }, nil
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if flags.after != "" {
		how = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	file, err := os.OpenFile(flags.output, how, 0o600) // params and metadata may hold customers' data
	if err != nil {
		return nil, nil, fmt.Errorf("open the file to write to: %w", err)
	}
	return file, func() error { return errors.Join(file.Sync(), file.Close()) }, nil
}
