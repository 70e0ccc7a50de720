package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/contexts"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

func (p *program) contexts() *cobra.Command {
	command := group("context", "Keep several installations by name, with their URLs and keys",
		p.contextList(), p.contextUse(), p.contextSet(), p.contextShow(), p.contextDelete())
	command.Long = "Keep several installations by name, with their URLs and keys, in $XDG_CONFIG_HOME/billonce/config.json (default\n" +
		"~/.config), a file for you alone.\n\n" +
		"Which installation a command speaks to: --url or --context; else BILLONCE_URL; else the context that BILLONCE_CONTEXT names, or\n" +
		"that context use chose; else " + defaultURL + ". With which key: that of a context named by --context; else BILLONCE_API_KEY\n" +
		"or ADMIN_API_KEY, or their _FILE forms; else the context's. A context's key is sent to the context's URL and nowhere else. Of a\n" +
		"context's key file that others than its owner may use, each command warns on standard error, and goes on.\n\n" +
		"Where a context is marked --production, every command that changes something asks first, and takes --yes where nobody can answer."
	return command
}

// contextsPath is where the contexts are kept.
func (p *program) contextsPath() (string, error) {
	path, found := contexts.Path(p.lookup)
	if !found {
		return "", configError{errors.New("neither XDG_CONFIG_HOME nor HOME says where contexts could be kept")}
	}
	return path, nil
}

func (p *program) loadContexts() (contexts.File, error) {
	path, err := p.contextsPath()
	if err != nil {
		return contexts.File{}, err
	}
	file, err := contexts.Load(path)
	if err != nil {
		return file, configError{err}
	}
	return file, nil
}

func (p *program) updateContexts(change func(*contexts.File) error) error {
	path, err := p.contextsPath()
	if err != nil {
		return err
	}
	return contexts.Update(path, change)
}

func noContext(name string) error {
	return usageError{fmt.Errorf("there is no context %q", plain(name))}
}

// shownContext is a context without its key.
type shownContext struct {
	Name           string `json:"name"`
	Current        bool   `json:"current"`
	URL            string `json:"url"`
	Key            string `json:"key"` // how it is come by
	Production     bool   `json:"production"`
	AllowPlaintext bool   `json:"allow_plaintext"`
}

func showContext(file contexts.File, name string) shownContext {
	one := file.Contexts[name]
	return shownContext{
		Name: name, Current: name == file.Current, URL: one.URL, Key: one.KeySource(), Production: one.Production,
		AllowPlaintext: one.AllowPlaintext,
	}
}

func (p *program) contextList() *cobra.Command {
	command := &cobra.Command{Use: "list", Short: "List the contexts, without keys", Args: exactly(0, "no arguments")}
	asJSON := command.Flags().Bool("json", false, "print the result as JSON")
	command.RunE = func(*cobra.Command, []string) error {
		file, err := p.loadContexts()
		if err != nil {
			return err
		}
		shown := []shownContext{}
		rows := [][]string{{"", "NAME", "URL", "KEY", "PRODUCTION"}}
		for _, name := range file.Names() {
			one := showContext(file, name)
			shown = append(shown, one)
			mark, production := "", "no"
			if one.Current {
				mark = "*"
			}
			if one.Production {
				production = "yes"
			}
			rows = append(rows, []string{mark, one.Name, one.URL, one.Key, production})
		}
		if *asJSON {
			return p.printJSON(struct {
				Data []shownContext `json:"data"`
			}{shown})
		}
		p.table(rows)
		return nil
	}
	return command
}

func (p *program) contextShow() *cobra.Command {
	command := &cobra.Command{
		Use: "show [NAME]", Short: "Show a context, or the current one, without its key", ValidArgsFunction: p.completeContext,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("want one name at most, got %d arguments", len(args))}
			}
			return nil
		},
	}
	asJSON := command.Flags().Bool("json", false, "print the result as JSON")
	command.RunE = func(_ *cobra.Command, args []string) error {
		file, err := p.loadContexts()
		if err != nil {
			return err
		}
		name := file.Current
		if len(args) == 1 {
			name = args[0]
		}
		if _, found := file.Contexts[name]; !found {
			return noContext(name)
		}
		one := showContext(file, name)
		if *asJSON {
			return p.printJSON(one)
		}
		p.table([][]string{
			{"name", one.Name},
			{"current", fmt.Sprint(one.Current)},
			{"url", one.URL},
			{"key", one.Key},
			{"production", fmt.Sprint(one.Production)},
			{"plaintext", fmt.Sprint(one.AllowPlaintext)},
		})
		return nil
	}
	return command
}

func (p *program) contextUse() *cobra.Command {
	command := &cobra.Command{
		Use: "use NAME", Short: "Make a context the one that is meant when none is named", Args: exactly(1, "the name of one context"),
		ValidArgsFunction: p.completeContext,
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		err := p.updateContexts(func(file *contexts.File) error {
			if _, found := file.Contexts[args[0]]; !found {
				return noContext(args[0])
			}
			file.Current = args[0]
			return nil
		})
		if err == nil {
			p.notef("%s is the current context\n", args[0])
		}
		return err
	}
	return command
}

func (p *program) contextDelete() *cobra.Command {
	command := &cobra.Command{
		Use: "delete NAME", Short: "Forget a context and the key that it keeps", Args: exactly(1, "the name of one context"),
		ValidArgsFunction: p.completeContext,
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		err := p.updateContexts(func(file *contexts.File) error {
			if _, found := file.Contexts[args[0]]; !found {
				return noContext(args[0])
			}
			delete(file.Contexts, args[0])
			if file.Current == args[0] {
				file.Current = ""
			}
			return nil
		})
		if err == nil {
			p.notef("%s is forgotten\n", args[0])
		}
		return err
	}
	return command
}

// contextFlags are what context set is told.
type contextFlags struct {
	url, keyFrom, keyFile, keyCommand     string
	noKey, production, plaintext, makeUse bool
}

func (p *program) contextSet() *cobra.Command {
	command := &cobra.Command{
		Use: "set NAME", Short: "Make a context, or change one; what is not given stays", Args: exactly(1, "the name of one context"),
		Long: "Make a context, or change one; what is not given stays, but for the key and the\n" +
			"leave to go without TLS when the URL is another.\n\n" +
			"The key may stay in a file of its own (--key-file), come from a command such as a password manager (--key-command), or be kept\n" +
			"with the context (--key-from). It is never an argument, which every user of the machine could read.",
		Example: "  billctl context set prod --url https://billing.example --key-command 'pass show billonce/prod' --production\n" +
			"  billctl context set local --url http://127.0.0.1:8080 --key-file .dev/admin_key --use",
		ValidArgsFunction: p.completeContext,
	}
	var flags contextFlags
	set := command.Flags()
	set.StringVar(&flags.url, "url", "", "where the API is, like https://billing.example")
	set.StringVar(&flags.keyFrom, "key-from", "", "keep the key that is read from a file, - for standard input, or ask to have it typed")
	set.StringVar(&flags.keyFile, "key-file", "", "read the key from this file each time")
	set.StringVar(&flags.keyCommand, "key-command", "", "run this in the shell each time; it prints the key")
	set.BoolVar(&flags.noKey, "no-key", false, "keep no key: it comes from the environment")
	set.BoolVar(&flags.production, "production", false, "ask before anything is changed there (--production=false takes it back)")
	set.BoolVar(&flags.plaintext, "allow-plaintext", false, "send the key to another machine without TLS")
	set.BoolVar(&flags.makeUse, "use", false, "make it the current context")
	command.RunE = func(command *cobra.Command, args []string) error {
		if err := contexts.CheckName(args[0]); err != nil {
			return usageError{err}
		}
		var kept contexts.Context
		changed, err := p.contextChange(command.Context(), command.Flags().Changed, flags)
		if err != nil {
			return err
		}
		err = p.updateContexts(func(file *contexts.File) error {
			one := file.Contexts[args[0]]
			changed(&one)
			if one.URL == "" {
				return usageError{errors.New("--url is needed")}
			}
			if !one.AllowPlaintext && !staysHere(one.URL) {
				return usageError{errors.New("the key would go to another machine without TLS: name an https URL, or say --allow-plaintext")}
			}
			file.Contexts[args[0]], kept = one, one
			if flags.makeUse {
				file.Current = args[0]
			}
			return nil
		})
		if err == nil {
			p.notef("context %s is kept\n", args[0])
			p.warnOfKeyFile(kept)
		}
		return err
	}
	return command
}

// contextChange reads the flags, and the key if there is one to keep.
func (p *program) contextChange(ctx context.Context, given func(string) bool, flags contextFlags) (func(*contexts.Context), error) {
	ways := 0
	for _, name := range []string{"key-from", "key-file", "key-command", "no-key"} {
		if given(name) {
			ways++
		}
	}
	if ways > 1 {
		return nil, usageError{errors.New("--key-from, --key-file, --key-command and --no-key exclude each other")}
	}
	if flags.url != "" {
		if _, err := client.New(flags.url, secret.Text{}); err != nil {
			return nil, usageError{err}
		}
	}
	var key secret.Text
	if flags.keyFrom != "" {
		var err error
		if key, err = p.secretFrom(ctx, "the API key", flags.keyFrom); err != nil {
			return nil, err
		}
	}
	if flags.keyFile != "" {
		path, err := filepath.Abs(flags.keyFile)
		if err != nil {
			return nil, fmt.Errorf("find the key's file: %w", err)
		}
		flags.keyFile = path
	}
	return func(one *contexts.Context) {
		if flags.url != "" && flags.url != one.URL {
			if ways == 0 { // a key goes to the installation that it was given for
				one.Key, one.KeyFile, one.KeyCommand = secret.Text{}, "", ""
			}
			one.URL, one.AllowPlaintext = flags.url, false // nor does a leave to go without TLS
		}
		if ways > 0 {
			one.Key, one.KeyFile, one.KeyCommand = key, flags.keyFile, flags.keyCommand
		}
		if given("production") {
			one.Production = flags.production
		}
		if given("allow-plaintext") {
			one.AllowPlaintext = flags.plaintext
		}
	}, nil
}

// completeContext offers the names of contexts to the shell.
func (p *program) completeContext(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	file, err := p.loadContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}
