package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/batch"
	"billonce/cmd/billctl/progress"
)

// batchFlags are what tasks batch is told.
type batchFlags struct {
	apiFlags
	confirmFlags
	batch.Options
}

func (p *program) tasksBatch() *cobra.Command {
	command := &cobra.Command{
		Use: "batch FILE", Short: "Schedule the tasks of a file, one JSON object per line", Args: exactly(1, "one file, or - for standard input"),
		Long: "Schedule the tasks of a file, one JSON object per line, each as tasks create and the API take it.\n\n" +
			"Every line is read before anything is sent. Tasks go in requests of --size, each scheduled whole or not at all. A task without\n" +
			"an idempotency_key gets one that follows from what its line says, so the file can be sent again after an interruption, also\n" +
			"with lines added: nothing is scheduled twice. Lines that say the same are tasks of their own. To schedule the same tasks another\n" +
			"time, give the second time a --series of its own. With --json the tasks that were made are printed, one to a line.",
		Example: "  billctl tasks batch renewals.ndjson --series 2030-02\n  generate | billctl tasks batch - --json > made.ndjson",
	}
	var flags batchFlags
	flags.apiFlags.add(command)
	flags.confirmFlags.add(command)
	command.Flags().IntVar(&flags.Size, "size", 1000, "tasks in one request, 1 to 10000")
	command.Flags().StringVar(&flags.Series, "series", "", "a word that makes the same lines other tasks than before")
	command.RunE = func(command *cobra.Command, args []string) error {
		if flags.Size < 1 || flags.Size > batch.MaxTasks {
			return usageError{fmt.Errorf("--size must be 1 to %d", batch.MaxTasks)}
		}
		return p.batch(command.Context(), flags, args[0])
	}
	return command
}

func (p *program) batch(ctx context.Context, flags batchFlags, place string) (err error) {
	file, err := p.replayable(place)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	total, err := batch.Count(file)
	if err != nil {
		return usageError{err}
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the tasks: %w", err)
	}
	api, err := p.connect(ctx, flags.apiFlags)
	if err != nil {
		return err
	}
	if err := p.inProduction(ctx, flags.confirmFlags, fmt.Sprintf("schedule %d tasks", total)); err != nil {
		return err
	}
	meter := p.meter(progress.Words{Doing: "scheduling", Things: "tasks", Done: "scheduled anew"})
	meter.Begin(total)
	state, err := batch.Run(ctx, api, file, flags.Options, func(made []json.RawMessage) error {
		return p.printMade(flags.json, made)
	}, meter)
	meter.End()
	if err != nil {
		err = interrupted(ctx, err)
		return fmt.Errorf("%w\n%d tasks were scheduled, up to line %d. Send the file again when this is put right: nothing is scheduled twice",
			err, state.Tasks, state.Line)
	}
	p.sumUp(flags.json, state)
	return nil
}

func (p *program) printMade(asJSON bool, made []json.RawMessage) error {
	if !asJSON {
		return nil
	}
	for _, one := range made {
		text, err := json.Marshal(one) // which makes it compact
		if err != nil {
			return fmt.Errorf("print JSON: %w", err)
		}
		p.printf("%s\n", text)
	}
	return nil
}

func (p *program) sumUp(asJSON bool, state batch.State) {
	text := fmt.Sprintf("scheduled %d tasks", state.Tasks-state.Replayed)
	if state.Replayed > 0 {
		text += fmt.Sprintf("; %d had been scheduled before", state.Replayed)
	}
	if asJSON {
		p.notef("%s\n", text)
		return
	}
	p.printf("%s\n", text)
}

// replayable opens what can be read twice: a file, or a copy of what cannot be.
func (p *program) replayable(place string) (*os.File, error) {
	from := p.In
	if place != "-" {
		file, err := os.Open(place) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("read the tasks: %w", err)
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	if from == nil {
		return nil, errors.New("read the tasks: there is no standard input")
	}
	return spool(from)
}

// spool copies what it reads into a file that nobody else sees, and that is gone with this process.
func spool(from io.Reader) (*os.File, error) {
	file, err := os.CreateTemp("", "billctl-batch-*") // for its owner alone
	if err != nil {
		return nil, fmt.Errorf("keep the tasks: %w", err)
	}
	_, err = io.Copy(file, from)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err = errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the tasks: %w", err), file.Close())
	}
	return file, nil
}
