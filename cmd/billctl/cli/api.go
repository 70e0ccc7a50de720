package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"billonce/pkg/client"
)

const defaultURL = "http://127.0.0.1:8080"

// apiFlags are the flags of every command that speaks to the API.
type apiFlags struct {
	url  string
	json bool
}

func (f *apiFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.url, "url", "", "the API (default $BILLONCE_URL, else "+defaultURL+")")
	command.Flags().BoolVar(&f.json, "json", false, "print the API's JSON")
}

// connect returns a client with the key of the environment.
func (p *program) connect(flags apiFlags) (*client.Client, error) {
	address := flags.url
	if address == "" {
		address, _ = p.lookup("BILLONCE_URL")
	}
	if address == "" {
		address = defaultURL
	}
	key, err := p.apiKey()
	if err != nil {
		return nil, err
	}
	api, err := client.New(address, key)
	if err != nil {
		return nil, usageError{err}
	}
	return api, nil
}

// listFlags are the flags of every list.
type listFlags struct {
	apiFlags
	limit int
	all   bool
}

func (f *listFlags) add(command *cobra.Command) {
	f.apiFlags.add(command)
	command.Flags().IntVar(&f.limit, "limit", 50, "how many to show")
	command.Flags().BoolVar(&f.all, "all", false, "show all of them")
}

// list fetches a list and prints it: as JSON, or each item through row.
func (p *program) list(command *cobra.Command, path string, query url.Values, flags listFlags, show func([]json.RawMessage) error) error {
	if flags.all && command.Flags().Changed("limit") {
		return usageError{errors.New("--limit and --all exclude each other")}
	}
	if flags.limit < 1 {
		return usageError{errors.New("--limit must be at least 1")}
	}
	limit := flags.limit
	if flags.all {
		limit = 0
	}
	api, err := p.connect(flags.apiFlags)
	if err != nil {
		return err
	}
	found, err := api.List(command.Context(), path, query, limit)
	if err != nil {
		return err
	}
	if flags.json {
		return p.printJSON(found)
	}
	if err := show(found.Data); err != nil {
		return err
	}
	if found.NextCursor != nil {
		p.sayf("There are more: --limit shows more of them, --all shows all.\n")
	}
	return nil
}

// decode reads one item of a list.
func decode[T any](item json.RawMessage) (T, error) {
	var value T
	if err := json.Unmarshal(item, &value); err != nil {
		return value, fmt.Errorf("read the answer: %w", err)
	}
	return value, nil
}

// showOne makes command show the object under path whose id it is given: as JSON, or through show.
func showOne[T any](p *program, command *cobra.Command, path string, show func(T)) *cobra.Command {
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		api, err := p.connect(flags)
		if err != nil {
			return err
		}
		raw, err := api.Do(command.Context(), client.Call{Method: http.MethodGet, Path: path + "/" + url.PathEscape(args[0])})
		if err != nil {
			return err
		}
		return tell(p, flags, raw, show)
	}
	return command
}

// postEach makes command post verb to each object under path whose id it is given. The first refusal ends it.
func postEach[T any](p *program, command *cobra.Command, path, verb string, show func(T)) *cobra.Command {
	var flags apiFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		api, err := p.connect(flags)
		if err != nil {
			return err
		}
		for _, id := range args {
			raw, err := api.Do(command.Context(), client.Call{Method: http.MethodPost, Path: path + "/" + url.PathEscape(id) + "/" + verb})
			if err != nil {
				return fmt.Errorf("%s %s: %w", verb, plain(id), err)
			}
			if err := tell(p, flags, raw, show); err != nil {
				return err
			}
		}
		return nil
	}
	return command
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
