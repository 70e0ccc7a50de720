package cli

import (
	"encoding/json"
	"errors"
	"fmt"
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
