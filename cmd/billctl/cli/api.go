package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// decode reads one item of a list.
func decode[T any](item json.RawMessage) (T, error) {
	var value T
	if err := json.Unmarshal(item, &value); err != nil {
		return value, fmt.Errorf("read the answer: %w", err)
	}
	return value, nil
}

// showOne makes command show the object under path whose id it is given: as JSON, or through show.
func showOne[T any](p *program, command *cobra.Command, path string, in columns, show func(T)) *cobra.Command {
	return p.watched(command, polled, func(args []string) source {
		return func(look *look) (snapshot, error) {
			raw, err := look.api.Do(look.ctx, client.Call{Method: http.MethodGet, Path: path + "/" + url.PathEscape(args[0])})
			if err != nil {
				return snapshot{}, err
			}
			return oneThing(raw, in, show)
		}
	})
}

// oneThing is the picture of one document; in says how a list shows it.
func oneThing[T any](raw json.RawMessage, in columns, show func(T)) (snapshot, error) {
	value, err := decode[T](raw)
	if err != nil {
		return snapshot{}, err
	}
	only, err := in.line(raw)
	if err != nil {
		return snapshot{}, err
	}
	return snapshot{document: raw, draw: func() { show(value) }, lines: []line{only}}, nil
}

// change is a command that posts to objects by their ids.
type change[T any] struct {
	path, verb string // POST path/{id}/verb
	doing      string // "cancel the tasks"
	method     string // "": POST
	body       func() (map[string]any, error)
	reason     bool // a reason is kept in the audit log
	always     bool // it is confirmed everywhere, by typing the id
	say        func(of string, value T, replayed bool)
}

// changeEach makes the command. The first refusal ends it.
func changeEach[T any](p *program, command *cobra.Command, of change[T]) *cobra.Command {
	var flags apiFlags
	var confirm confirmFlags
	flags.add(command)
	confirm.add(command)
	reason := ""
	if of.reason {
		command.Flags().StringVar(&reason, "reason", "", "why; it is kept in the audit log")
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx := command.Context()
		body, err := of.document(reason)
		if err != nil {
			return usageError{err}
		}
		api, err := p.connect(ctx, flags)
		if err != nil {
			return err
		}
		what := of.doing + " " + plain(strings.Join(args, ", "))
		if of.always {
			err = p.confirm(ctx, confirm, what, plain(args[0]))
		} else {
			err = p.inProduction(ctx, confirm, what)
		}
		if err != nil {
			return err
		}
		for _, id := range args {
			answer, err := api.Send(ctx, of.call(id, body))
			if err != nil {
				return fmt.Errorf("%s %s: %w", of.verb, plain(id), err)
			}
			if err := tell(p, flags, answer.Body, func(value T) { of.say(plain(id), value, answer.Replayed) }); err != nil {
				return err
			}
		}
		return nil
	}
	return command
}

// document is what is sent; nil where there is nothing to say.
func (of change[T]) document(reason string) (any, error) {
	body := map[string]any{}
	if of.body != nil {
		var err error
		if body, err = of.body(); err != nil {
			return nil, err
		}
	}
	if reason = strings.TrimSpace(reason); reason != "" {
		body["reason"] = reason
	}
	if len(body) == 0 {
		return nil, nil
	}
	return body, nil
}

func (of change[T]) call(id string, body any) client.Call {
	call := client.Call{Method: of.method, Path: of.path + "/" + url.PathEscape(id), Body: body}
	if call.Method == "" {
		call.Method, call.Path = http.MethodPost, call.Path+"/"+of.verb
	}
	return call
}

// tell prints an answer: as JSON, or through show.
func tell[T any](p *program, flags apiFlags, raw json.RawMessage, show func(T)) error {
	if flags.json {
		return p.printJSON(raw)
	}
	value, err := decode[T](raw)
	if err != nil {
		return err
	}
	show(value)
	return nil
}

const maxSecret = 64 << 10

// readSecret reads one to its end.
func readSecret(name string, from io.Reader) (secret.Text, error) {
	content, err := io.ReadAll(io.LimitReader(from, maxSecret+1))
	if err != nil {
		return secret.Text{}, fmt.Errorf("read %s: %w", name, err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" || len(text) > maxSecret {
		return secret.Text{}, errors.New("read " + name + ": it is empty or too long")
	}
	return secret.New(text), nil
}
