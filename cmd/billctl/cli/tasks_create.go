package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// createFlags are what tasks create is told.
type createFlags struct {
	apiFlags
	confirmFlags
	file, params, key                       string
	merchant, kind, target, runAt, intent   string
	param, metadata, retryAfter, stopOnCode []string
	maxAttempts                             int
}

func (p *program) tasksCreate() *cobra.Command {
	command := &cobra.Command{
		Use: "create --merchant ID --kind KIND", Short: "Schedule a task", Args: exactly(0, "no arguments"),
		Long: "Schedule a task: from flags, or as JSON from a file or standard input, as the API takes it; flags then complete it.\n\n" +
			"It is sent with an Idempotency-Key, a new one unless --idempotency-key names one: the same call with the same key schedules\n" +
			"nothing more. Where the answer is lost, the error names the key to try again with.",
		Example: "  billctl tasks create --merchant ID --kind invoice.pay --target in_1 --run-at +2h --metadata order=7\n" +
			"  billctl tasks create --merchant ID --kind payment_intent.create --param amount:=1200 --param currency=eur\n" +
			"  jq '.[0]' tasks.json | billctl tasks create --from-json -",
	}
	var flags createFlags
	flags.apiFlags.add(command)
	flags.confirmFlags.add(command)
	set := command.Flags()
	set.StringVar(&flags.file, "from-json", "", "a file with the task as JSON, - for standard input")
	set.StringVar(&flags.merchant, "merchant", "", "the merchant's id")
	set.StringVar(&flags.kind, "kind", "", "what is to happen, as invoice.pay")
	set.StringVar(&flags.target, "target", "", "the Stripe object acted on")
	set.StringVar(&flags.params, "params", "", "Stripe's parameters of the call, as JSON")
	set.StringArrayVar(&flags.param, "param", nil, "one of them: name=text, or name:=JSON; nested as metadata[order]=7")
	set.StringVar(&flags.runAt, "run-at", "", "when, like 2030-01-31T09:00:00Z or 3d (see help times); now unless told otherwise")
	set.StringArrayVar(&flags.metadata, "metadata", nil, "a note of your own, name=text; it never reaches Stripe")
	set.StringVar(&flags.intent, "intent", "", "what shall happen once, whoever asks for it")
	set.IntVar(&flags.maxAttempts, "max-attempts", 0, "attempts at most")
	set.StringSliceVar(&flags.retryAfter, "retry-after", nil, "after a decline try again after these pauses, like 24h,72h")
	set.StringSliceVar(&flags.stopOnCode, "stop-code", nil, "decline codes after which it is not tried again")
	set.StringVar(&flags.key, "idempotency-key", "", "the Idempotency-Key (default: a new one)")
	fixedCompletion(command, "kind", billing.Kinds())
	command.RunE = func(command *cobra.Command, _ []string) error { return p.createTask(command, flags) }
	return command
}

func (p *program) createTask(command *cobra.Command, flags createFlags) error {
	ctx := command.Context()
	body, err := flags.document(p)
	if err != nil {
		return err
	}
	api, err := p.connect(ctx, flags.apiFlags)
	if err != nil {
		return err
	}
	if err := p.inProduction(ctx, flags.confirmFlags, "schedule a task"); err != nil {
		return err
	}
	key := flags.key
	if key == "" {
		key = "billctl-" + uuid.NewString()
	}
	answer, err := api.Send(ctx, client.Call{Method: http.MethodPost, Path: tasksPath, Body: body, IdempotencyKey: key})
	if err != nil {
		if passes(err) {
			return fmt.Errorf("%w\nIt may have been scheduled: the same call with --idempotency-key %s schedules nothing twice", err, plain(key))
		}
		return err
	}
	return tell(p, flags.apiFlags, answer.Body, func(task client.Task) {
		done := "scheduled"
		if answer.Replayed {
			done = "scheduled before:"
		}
		p.printf("%s %s, to run %s\n", done, plain(task.ID), p.when(task.RunAt))
	})
}

// document is the task as it is sent. What the API refuses is the API's to refuse.
func (f createFlags) document(p *program) (map[string]any, error) {
	body := map[string]any{}
	if f.file != "" {
		if err := p.readObject(f.file, &body); err != nil {
			return nil, err
		}
	}
	for field, value := range map[string]string{"merchant_id": f.merchant, "kind": f.kind, "target": f.target, "intent": f.intent} {
		if value != "" {
			body[field] = value
		}
	}
	if err := p.addMoment(body, "run_at", "--run-at", f.runAt); err != nil {
		return nil, err
	}
	if f.maxAttempts != 0 {
		body["max_attempts"] = f.maxAttempts
	}
	if len(f.retryAfter) > 0 {
		plan := map[string]any{"retry_after": f.retryAfter}
		if len(f.stopOnCode) > 0 {
			plan["stop_codes"] = f.stopOnCode
		}
		body["on_decline"] = plan
	} else if len(f.stopOnCode) > 0 {
		return nil, usageError{errors.New("--stop-code needs --retry-after")}
	}
	if err := f.addParams(body); err != nil {
		return nil, usageError{err}
	}
	if err := f.addMetadata(body); err != nil {
		return nil, usageError{err}
	}
	if body["merchant_id"] == nil || body["kind"] == nil {
		return nil, usageError{errors.New("--merchant and --kind are needed, or --from-json")}
	}
	return body, nil
}

func (f createFlags) addParams(body map[string]any) error {
	params, _ := body["params"].(map[string]any)
	if f.params != "" {
		if params != nil {
			return errors.New("the JSON has params, and --params are given")
		}
		if err := readJSON(strings.NewReader(f.params), &params); err != nil {
			return errors.New("--params is not a JSON object") // the cause might quote it
		}
	}
	if len(f.param) == 0 {
		if params != nil {
			body["params"] = params
		}
		return nil
	}
	if params == nil {
		params = map[string]any{}
	}
	body["params"] = params
	return readParams(params, f.param)
}

func (f createFlags) addMetadata(body map[string]any) error {
	if len(f.metadata) == 0 {
		return nil
	}
	notes, _ := body["metadata"].(map[string]any)
	if notes == nil {
		notes = map[string]any{}
	}
	for _, line := range f.metadata {
		name, text, found := strings.Cut(line, "=")
		if !found || name == "" {
			return fmt.Errorf("--metadata %s must look like name=text", nameOnly(line))
		}
		notes[name] = text
	}
	body["metadata"] = notes
	return nil
}

// readObject reads one JSON object from a file, or from standard input for "-".
func (p *program) readObject(place string, into *map[string]any) error {
	file := p.In
	if place != "-" {
		opened, err := os.Open(place) //nolint:gosec // the operator names the file
		if err != nil {
			return fmt.Errorf("read the task: %w", err)
		}
		defer func() { _ = opened.Close() }()
		file = opened
	}
	if file == nil {
		return errors.New("read the task: there is no standard input")
	}
	if err := readJSON(file, into); err != nil {
		return usageError{errors.New("what is to be read as a task is not one JSON object")} // the cause might quote it
	}
	return nil
}

// readJSON reads one object, and nothing after it. Numbers stay as they are written.
func readJSON(from io.Reader, into *map[string]any) error {
	decoder := json.NewDecoder(from)
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more")
	}
	if *into == nil {
		return errors.New("null")
	}
	return nil
}
