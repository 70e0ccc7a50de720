package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/keys"
	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

const keysPath = "/v1/api_keys"

func (p *program) apiKeys() *cobra.Command {
	command := group("apikeys", "Make, look at, replace and end keys of the API",
		p.apiKeysCreate(), p.apiKeysList(), p.apiKeysShow(), p.apiKeysRotate(), p.apiKeysRevoke())
	command.Long = "Make, look at, replace and end keys of the API. It takes a key with the scope admin, or ADMIN_API_KEY.\n\n" +
		"A key is shown once, when it is made. What is kept of it is a hash."
	return command
}

// placeFlags say where a new key goes.
type placeFlags struct {
	apiFlags
	confirmFlags
	out string
}

func (f *placeFlags) add(command *cobra.Command) {
	f.apiFlags.add(command)
	f.confirmFlags.add(command)
	command.Flags().StringVar(&f.out, "out", "", "write the key to this file, which must not exist, readable by you alone, and do not print it")
}

func (p *program) apiKeysCreate() *cobra.Command {
	command := &cobra.Command{
		Use: "create --name NAME --scope SCOPE…", Short: "Make a key and print it, this once",
		Long: "Make a key and print it, this once: to standard output goes the key, and to standard error what it is.\n\n" +
			"The scopes are " + strings.Join(scopeNames(), ", ") + ". Writing does not include reading; admin includes everything.",
		Args: exactly(0, "no arguments"),
	}
	var flags placeFlags
	flags.add(command)
	name := command.Flags().String("name", "", "what the key is for (required)")
	scopes := command.Flags().StringSlice("scope", nil, "what it allows; more than one with commas, or the flag again (required)")
	merchant := command.Flags().String("merchant", "", "for the objects of this merchant alone")
	expires := command.Flags().String("expires", "", "when it ends: a time, like 2030-01-31T09:00:00Z, or from now, like 90d")
	fixedCompletion(command, "scope", billing.Scopes())
	command.RunE = func(command *cobra.Command, _ []string) error {
		if *name == "" || len(*scopes) == 0 {
			return usageError{errors.New("--name and --scope are needed")}
		}
		body := map[string]any{"name": *name, "scopes": *scopes}
		if *merchant != "" {
			body["merchant_id"] = *merchant
		}
		if err := p.addMoment(body, "expires_at", "--expires", *expires); err != nil {
			return err
		}
		return p.makeAPIKey(command, flags, keysPath, body)
	}
	return command
}

func (p *program) apiKeysRotate() *cobra.Command {
	command := &cobra.Command{
		Use: "rotate ID", Short: "Make a key in place of another, which goes on for a while",
		Long: "Make a key with the name, scopes and merchant of another, and print it, this once. The old one goes on for 24 hours,\n" +
			"or until --old-until, so that its users can change over; revoke it at once if it has leaked.",
		Args: exactly(1, "the id of one key"),
	}
	var flags placeFlags
	flags.add(command)
	until := command.Flags().String("old-until", "", "when the old key ends: a time, like 2030-01-31T09:00:00Z, or from now, like 24h")
	expires := command.Flags().String("expires", "", "when the new key ends, in the same forms (default: it lives as long as the old one was to)")
	command.RunE = func(command *cobra.Command, args []string) error {
		body := map[string]any{}
		err := p.addMoment(body, "old_valid_until", "--old-until", *until)
		if err == nil {
			err = p.addMoment(body, "expires_at", "--expires", *expires)
		}
		if err != nil {
			return err
		}
		return p.makeAPIKey(command, flags, keysPath+"/"+url.PathEscape(args[0])+"/rotate", body)
	}
	return command
}

func (p *program) makeAPIKey(command *cobra.Command, flags placeFlags, path string, body any) error {
	if flags.json && flags.out != "" {
		return usageError{errors.New("--json and --out exclude each other")}
	}
	if flags.out != "" { // before there is a key that nobody would have
		if _, err := os.Lstat(flags.out); !errors.Is(err, os.ErrNotExist) {
			return usageError{fmt.Errorf("%s is there already", flags.out)}
		}
	}
	api, err := p.connect(command.Context(), flags.apiFlags)
	if err != nil {
		return err
	}
	if err := p.inProduction(command.Context(), flags.confirmFlags, "make an API key"); err != nil {
		return err
	}
	raw, err := api.Do(command.Context(), client.Call{Method: http.MethodPost, Path: path, Body: body})
	if err != nil {
		return err
	}
	if flags.json {
		return p.printJSON(raw)
	}
	var made struct {
		client.APIKey
		Key string `json:"key"`
	}
	if err := json.Unmarshal(raw, &made); err != nil {
		return errors.New("read the answer: it is not what this program expects") // the cause might show the key
	}
	key := secret.New(made.Key)
	if flags.out == "" {
		p.printf("%s\n", plain(key.Reveal()))
	} else if err := keys.WriteNew(flags.out, key.Reveal()); err != nil {
		return fmt.Errorf("key %s was made and is lost, revoke it: %w", plain(made.ID), err)
	}
	p.sayf("made key %s, %q, with %s; it ends %s. It is not shown again.\n", plain(made.ID), plain(made.Name),
		plain(joinScopes(made.Scopes, ", ")), p.endOf(made.APIKey))
	return nil
}

func (p *program) apiKeysList() *cobra.Command {
	command := &cobra.Command{Use: "list", Short: "List keys, newest first", Args: exactly(0, "no arguments")}
	filters := map[string]*string{"merchant_id": command.Flags().String("merchant", "", "only those for this merchant")}
	return p.list(command, keysPath, given(filters), p.apiKeyColumns())
}

func (p *program) apiKeyColumns() columns {
	heading := []string{"ID", "NAME", "BEGINS WITH", "SCOPES", "MERCHANT", "STATUS", "ENDS", "LAST USED"}
	return column(heading, func(key client.APIKey) []string {
		return []string{
			key.ID, key.Name, key.Hint, joinScopes(key.Scopes, ","), dash(dereference(key.MerchantID)), string(key.Status), p.endOf(key),
			p.whenSet(key.LastUsedAt),
		}
	})
}

func (p *program) apiKeysShow() *cobra.Command {
	command := &cobra.Command{Use: "show ID", Short: "Show one key, but for the key itself", Args: exactly(1, "the id of one key")}
	return showOne(p, command, keysPath, p.apiKeyColumns(), func(key client.APIKey) {
		p.table([][]string{
			{"id", key.ID},
			{"name", key.Name},
			{"begins with", key.Hint},
			{"scopes", joinScopes(key.Scopes, ", ")},
			{"merchant", dash(dereference(key.MerchantID))},
			{"status", string(key.Status)},
			{"created", p.when(key.CreatedAt)},
			{"created by", dash(dereference(key.CreatedBy))},
			{"ends", p.endOf(key)},
			{"last used", p.whenSet(key.LastUsedAt)},
			{"revoked", p.whenSet(key.RevokedAt)},
			{"replaced by", dash(dereference(key.ReplacedBy))},
		})
	})
}

func (p *program) apiKeysRevoke() *cobra.Command {
	command := &cobra.Command{
		Use: "revoke ID…", Short: "End keys for ever, within seconds everywhere", Args: atLeastOne("the id of one key or more"),
	}
	return changeEach(p, command, change[client.APIKey]{
		path: keysPath, verb: "revoke", doing: "revoke the keys",
		say: func(_ string, key client.APIKey, _ bool) {
			p.printf("%s is %s\n", plain(key.ID), plain(string(key.Status)))
		},
	})
}

func (p *program) endOf(key client.APIKey) string {
	if key.ExpiresAt == nil {
		return "never"
	}
	return p.when(*key.ExpiresAt)
}

func scopeNames() []string {
	var names []string
	for _, scope := range billing.Scopes() {
		names = append(names, string(scope))
	}
	return names
}

func joinScopes(list []billing.Scope, between string) string {
	texts := make([]string, len(list))
	for i, scope := range list {
		texts[i] = string(scope)
	}
	return strings.Join(texts, between)
}
