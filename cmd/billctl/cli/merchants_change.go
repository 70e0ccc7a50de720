package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"billonce/pkg/client"
)

// merchantChange returns a command that posts one verb to each merchant named.
func (p *program) merchantChange(verb, short string) *cobra.Command {
	command := &cobra.Command{Use: verb + " ID…", Short: short, Args: atLeastOne("the id of one merchant or more")}
	return changeEach(p, command, change[client.Merchant]{
		path: merchantsPath, verb: verb, doing: verb + " the merchants", reason: true,
		say: func(_ string, merchant client.Merchant, _ bool) {
			p.printf("%s is %s\n", plain(merchant.ID), plain(merchantStatus(merchant)))
		},
	})
}

func (p *program) merchantsDisconnect() *cobra.Command {
	command := &cobra.Command{
		Use: "disconnect ID", Short: "Erase a merchant's tokens and hold its tasks for good", Args: exactly(1, "the id of one merchant"),
		Long: "Erase a merchant's tokens and hold its tasks for good; the history is kept. The account can be connected again, as another\n" +
			"merchant.",
	}
	return changeEach(p, command, change[client.Merchant]{
		path: merchantsPath, verb: "disconnect", method: http.MethodDelete, doing: "disconnect the merchant", always: true,
		say: func(_ string, merchant client.Merchant, _ bool) {
			p.printf("%s is %s\n", plain(merchant.ID), plain(merchantStatus(merchant)))
		},
	})
}

// tokenFlags say where a merchant's tokens come from; never from an argument.
type tokenFlags struct{ access, refresh string }

func (f *tokenFlags) add(command *cobra.Command) {
	const from = "a file, - for standard input, or ask to have it typed"
	command.Flags().StringVar(&f.access, "access-token-from", "", "where the access token is read from: "+from)
	command.Flags().StringVar(&f.refresh, "refresh-token-from", "", "where the refresh token is read from: "+from)
}

// read adds the tokens to what is sent.
func (f *tokenFlags) read(ctx context.Context, p *program, body map[string]any) error {
	if f.access == "-" && f.refresh == "-" {
		return usageError{errors.New("only one token can come from standard input")}
	}
	for _, one := range []struct{ field, name, place string }{
		{"access_token", "the access token", f.access}, {"refresh_token", "the refresh token", f.refresh},
	} {
		if one.place == "" {
			continue
		}
		token, err := p.secretFrom(ctx, one.name, one.place)
		if err != nil {
			return err
		}
		body[one.field] = token.Reveal()
	}
	return nil
}

func (p *program) merchantsCreate() *cobra.Command {
	command := &cobra.Command{
		Use: "create --name NAME --account acct_…", Short: "Connect a merchant", Args: exactly(0, "no arguments"),
		Long: "Connect a merchant. Its tokens are read from files, from standard input or from the terminal, never from an argument, which every\n" +
			"user of the machine could read. Without an access token it is served with the platform's key.",
		Example: "  pass show stripe/alma | billctl merchants create --name \"Alma's Bakery\" --account acct_1A2b --access-token-from -",
	}
	var flags apiFlags
	var confirm confirmFlags
	var tokens tokenFlags
	flags.add(command)
	confirm.add(command)
	tokens.add(command)
	name := command.Flags().String("name", "", "what it is called (required)")
	account := command.Flags().String("account", "", "its Stripe account, as acct_… (required)")
	live := command.Flags().Bool("live", false, "it is for live mode; an access token says it by itself")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if *name == "" || *account == "" {
			return usageError{errors.New("--name and --account are needed")}
		}
		body := map[string]any{"name": *name, "stripe_connect_id": *account}
		if command.Flags().Changed("live") {
			body["livemode"] = *live
		}
		return p.sendMerchant(command.Context(), flags, confirm, tokens, client.Call{Method: http.MethodPost, Path: merchantsPath, Body: body},
			"connect the merchant "+*account, "connected")
	}
	return command
}

func (p *program) merchantsUpdate() *cobra.Command {
	command := &cobra.Command{
		Use: "update ID", Short: "Change a merchant's name or tokens", Args: exactly(1, "the id of one merchant"),
		Long: "Change a merchant's name or tokens; what is not given stays. A token is read from a file, from standard input or from the\n" +
			"terminal, never from an argument.",
	}
	var flags apiFlags
	var confirm confirmFlags
	var tokens tokenFlags
	flags.add(command)
	confirm.add(command)
	tokens.add(command)
	name := command.Flags().String("name", "", "what it is called from now on")
	noAccess := command.Flags().Bool("no-access-token", false, "erase the stored access token")
	noRefresh := command.Flags().Bool("no-refresh-token", false, "erase the stored refresh token")
	command.RunE = func(command *cobra.Command, args []string) error {
		if *noAccess && tokens.access != "" || *noRefresh && tokens.refresh != "" {
			return usageError{errors.New("a token is either read or erased")}
		}
		body := map[string]any{}
		if *name != "" {
			body["name"] = *name
		}
		if *noAccess {
			body["access_token"] = nil
		}
		if *noRefresh {
			body["refresh_token"] = nil
		}
		if len(body) == 0 && tokens == (tokenFlags{}) {
			return usageError{errors.New("say what to change")}
		}
		call := client.Call{Method: http.MethodPatch, Path: merchantsPath + "/" + url.PathEscape(args[0]), Body: body}
		return p.sendMerchant(command.Context(), flags, confirm, tokens, call, "change the merchant "+plain(args[0]), "changed")
	}
	return command
}

// sendMerchant completes the call's body by the tokens and says what became of it.
func (p *program) sendMerchant(ctx context.Context, flags apiFlags, confirm confirmFlags, tokens tokenFlags, call client.Call, what, done string) error {
	api, err := p.connect(ctx, flags)
	if err != nil {
		return err
	}
	if err := p.inProduction(ctx, confirm, what); err != nil {
		return err
	}
	body, ok := call.Body.(map[string]any)
	if !ok {
		return errors.New("the call has no members")
	}
	if err := tokens.read(ctx, p, body); err != nil {
		return err
	}
	raw, err := api.Do(ctx, call)
	if err != nil {
		return err
	}
	return tell(p, flags, raw, func(merchant client.Merchant) {
		p.printf("%s %s, %s mode, served with %s\n", done, plain(merchant.ID), mode(merchant), servedWith(merchant))
	})
}
