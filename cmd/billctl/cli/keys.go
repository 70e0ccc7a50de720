package cli

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/keys"
)

// serviceID is the user of the container images (distroless nonroot).
const serviceID = "65532:65532"

func (p *program) keys() *cobra.Command {
	return group("keys", "Make the secrets of an installation, and rotate the encryption key",
		p.keysGenerate(), p.keysInit(), p.keysShow(), p.keysStatus(), p.keysRotate(), p.keysVerify(), p.keysReinstate())
}

func (p *program) keysGenerate() *cobra.Command {
	command := &cobra.Command{
		Use: "generate", Short: "Print a new ENCRYPTION_KEY, or write it to a file",
		Long: "Print a new ENCRYPTION_KEY: 32 random bytes as 64 hexadecimal digits.\n\n" +
			"Keep it: without it no stored token can ever be opened again.",
		Args: exactly(0, "no arguments"),
	}
	out := command.Flags().String("out", "", "write it to this file, which must not exist, readable by you alone")
	command.RunE = func(*cobra.Command, []string) error {
		if *out == "" {
			p.printf("%s\n", keys.Generate())
			return nil
		}
		if err := keys.WriteNew(*out, keys.Generate()); err != nil {
			return err
		}
		p.sayf("wrote a new key to %s; set ENCRYPTION_KEY_FILE to that path\n", *out)
		return nil
	}
	return command
}

type initFlags struct {
	dir, owner, host, user, name string
	only                         []string
}

func (p *program) keysInit() *cobra.Command {
	command := &cobra.Command{
		Use: "init", Short: "Make the secrets of a first start, where they are missing",
		Long: "Make encryption_key, admin_api_key, postgres_password and database_url in a folder, each only if it is missing.\n\n" +
			"Meant for the first start of a composition: point ENCRYPTION_KEY_FILE, ADMIN_API_KEY_FILE, POSTGRES_PASSWORD_FILE and\n" +
			"DATABASE_URL_FILE at them. The files are for their owner alone, but for postgres_password, which the database server\n" +
			"reads as another user.",
		Args: exactly(0, "no arguments"),
	}
	var flags initFlags
	command.Flags().StringVar(&flags.dir, "dir", "", "the folder (required)")
	command.Flags().StringVar(&flags.owner, "owner", serviceID, "UID:GID that the files are given to, when run as root")
	command.Flags().StringVar(&flags.host, "database-host", "postgres:5432", "host and port in database_url")
	command.Flags().StringVar(&flags.user, "database-user", "billonce", "user in database_url")
	command.Flags().StringVar(&flags.name, "database-name", "billonce", "database in database_url")
	command.Flags().StringSliceVar(&flags.only, "only", nil, "make only these of "+strings.Join(keys.Names(), ", "))
	command.RunE = func(*cobra.Command, []string) error {
		if flags.dir == "" {
			return usageError{errors.New("--dir is missing")}
		}
		owner, err := parseOwner(flags.owner)
		if err != nil {
			return usageError{err}
		}
		plan := keys.Init{Dir: flags.dir, Only: flags.only, Database: url.URL{
			Scheme: "postgres", User: url.User(flags.user), Host: flags.host, Path: "/" + flags.name, RawQuery: "sslmode=disable",
		}}
		if os.Geteuid() == 0 {
			plan.Owner = owner
		}
		made, err := plan.Run()
		for _, one := range made {
			verb := "kept"
			if one.Created {
				verb = "made"
			}
			p.printf("%s %s\n", verb, one.Path)
		}
		return err
	}
	return command
}

func parseOwner(text string) (*keys.Owner, error) {
	user, group, found := strings.Cut(text, ":")
	if !found {
		group = user
	}
	uid, errUID := strconv.ParseUint(user, 10, 31)
	gid, errGID := strconv.ParseUint(group, 10, 31)
	if errUID != nil || errGID != nil {
		return nil, fmt.Errorf("--owner %q is not UID:GID", text)
	}
	return &keys.Owner{UID: int(uid), GID: int(gid)}, nil
}

func (p *program) keysShow() *cobra.Command {
	command := &cobra.Command{
		Use: "show NAME", Short: "Print one secret of a folder that keys init made",
		Long: "Print one secret of a folder that keys init made, for images that have no shell.",
		Args: exactly(1, "the name of one secret"), ValidArgs: keys.Names(),
	}
	dir := command.Flags().String("dir", "", "the folder (required)")
	command.RunE = func(command *cobra.Command, args []string) error {
		if *dir == "" {
			return usageError{errors.New("--dir is missing")}
		}
		for _, name := range command.ValidArgs {
			if args[0] != name {
				continue
			}
			content, err := os.ReadFile(filepath.Join(*dir, name)) //nolint:gosec // the operator names the folder
			if err != nil {
				return fmt.Errorf("show a key: %w", err)
			}
			p.printf("%s\n", strings.TrimSpace(string(content)))
			return nil
		}
		return usageError{fmt.Errorf("the secrets are %s", strings.Join(command.ValidArgs, ", "))}
	}
	return command
}
