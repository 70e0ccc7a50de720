package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/contexts"
	"billonce/pkg/client"
	"billonce/pkg/config"
	"billonce/pkg/secret"
)

const defaultURL = "http://127.0.0.1:8080"

// apiFlags are the flags of every command that speaks to the API.
type apiFlags struct {
	url, context   string
	allowPlaintext bool
	json           bool
}

func (f *apiFlags) add(command *cobra.Command) {
	command.Flags().BoolVar(&f.json, "json", false, "print the API's JSON")
	f.addTarget(command)
}

func (f *apiFlags) addTarget(command *cobra.Command) {
	command.Flags().StringVar(&f.url, "url", "", "the API (default $BILLONCE_URL, else the context's, else "+defaultURL+")")
	command.Flags().StringVar(&f.context, "context", "", "the installation by its name (default $BILLONCE_CONTEXT, else what context use chose)")
	command.Flags().BoolVar(&f.allowPlaintext, "allow-plaintext", false, "send the key to another machine without TLS")
}

// target is an installation.
type target struct {
	context    string // its name; "" if it has none
	url        string
	production bool
	key        secret.Text
}

// String says where it is.
func (t target) String() string {
	switch {
	case t.context == "":
		return t.url
	case t.production:
		return fmt.Sprintf("%s, PRODUCTION, %s", t.context, t.url)
	}
	return fmt.Sprintf("%s, %s", t.context, t.url)
}

// connect returns a client for the installation that flags, environment and context name, in this order.
func (p *program) connect(ctx context.Context, flags apiFlags) (*client.Client, error) {
	to, err := p.target(ctx, flags)
	if err != nil {
		return nil, err
	}
	api, err := client.New(to.url, to.key)
	if err != nil {
		return nil, flags.blame(err)
	}
	p.at = to
	return api, nil
}

// blame makes a wrong URL the fault of who gave it.
func (f apiFlags) blame(err error) error {
	if f.url != "" {
		return usageError{err}
	}
	return configError{err}
}

// target finds out where the API is and with which key. The key of a context goes to that context's URL and to no other.
func (p *program) target(ctx context.Context, flags apiFlags) (target, error) {
	if flags.url != "" && flags.context != "" {
		return target{}, usageError{errors.New("--url and --context exclude each other")}
	}
	to := target{url: flags.url}
	if to.url == "" && flags.context == "" {
		to.url, _ = p.lookup("BILLONCE_URL")
	}
	var chosen contexts.Context
	if to.url == "" {
		var err error
		if to.context, chosen, err = p.chosenContext(flags.context); err != nil {
			return target{}, err
		}
		to.url, to.production = chosen.URL, chosen.Production
	}
	if to.url == "" {
		to.url = defaultURL
	}
	if err := p.checkPlaintext(to.url, flags, chosen); err != nil {
		return target{}, err
	}
	if named := flags.context != ""; named && chosen.HasKey() {
		return p.withContextKey(ctx, to, chosen)
	}
	key, found, err := p.apiKey()
	switch {
	case err != nil:
		return target{}, err
	case found:
		to.key = key
		return to, nil
	case chosen.HasKey():
		return p.withContextKey(ctx, to, chosen)
	}
	return target{}, configError{errors.New("no API key: set BILLONCE_API_KEY or ADMIN_API_KEY, or put it into a file and set " +
		"BILLONCE_API_KEY_FILE or ADMIN_API_KEY_FILE, or name a context that has one (billctl context --help)")}
}

func (p *program) withContextKey(ctx context.Context, to target, chosen contexts.Context) (target, error) {
	var err error
	p.warnOfKeyFile(chosen)
	to.key, err = chosen.ResolveKey(ctx, contexts.Terminal{In: p.In, Err: p.Err})
	if err != nil {
		return target{}, configError{fmt.Errorf("context %s: %w", to.context, err)}
	}
	return to, nil
}

// warnOfKeyFile says once that others than its owner may read the file of a key, or put another key in its place. It is no failure: who
// has the key works on, and what is wrong is put right meanwhile.
func (p *program) warnOfKeyFile(of contexts.Context) {
	mode := of.Exposed()
	if mode == 0 || p.warned {
		return
	}
	p.warned = true
	p.notef("warning: others may use the key's file, whose mode is %#o: chmod 600 %s\n", mode, of.KeyFile)
}

// chosenContext returns the context of the given name, or of BILLONCE_CONTEXT, or the current one; none is no error.
func (p *program) chosenContext(named string) (name string, chosen contexts.Context, err error) {
	fault := func(err error) error { return configError{err} }
	if named != "" {
		fault = func(err error) error { return usageError{err} }
	} else {
		named, _ = p.lookup("BILLONCE_CONTEXT")
	}
	file := contexts.File{}
	if path, found := contexts.Path(p.lookup); found {
		if file, err = contexts.Load(path); err != nil {
			return "", chosen, configError{err}
		}
	}
	if named == "" {
		named = file.Current
	}
	if named == "" {
		return "", chosen, nil
	}
	chosen, found := file.Contexts[named]
	if !found {
		return "", chosen, fault(fmt.Errorf("there is no context %q: billctl context list shows those there are", plain(named)))
	}
	return named, chosen, nil
}

// checkPlaintext refuses to send a key to another machine in the clear, unless somebody has said that it may be.
func (p *program) checkPlaintext(address string, flags apiFlags, chosen contexts.Context) error {
	given, _ := p.lookup("BILLONCE_ALLOW_PLAINTEXT")
	allowed, err := config.ParseSwitch(given)
	if err != nil {
		return configError{errors.New("BILLONCE_ALLOW_PLAINTEXT cannot be read as true or false")}
	}
	if allowed || flags.allowPlaintext || chosen.AllowPlaintext || staysHere(address) {
		return nil
	}
	return flags.blame(errors.New("the key would go to another machine without TLS: name an https URL, or allow it with --allow-plaintext, " +
		"with BILLONCE_ALLOW_PLAINTEXT=true or in the context"))
}

// staysHere reports whether what is sent to the URL is encrypted or does not leave the machine. What is no URL is for others to refuse.
func staysHere(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" {
		return true
	}
	host := parsed.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
