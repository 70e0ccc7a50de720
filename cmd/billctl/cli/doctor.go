package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/doctor"
	"billonce/pkg/config"
	"billonce/pkg/store"
)

// doctorFlags are what doctor is told.
type doctorFlags struct {
	apiFlags
	skip   []string
	strict bool
}

func (p *program) doctor() *cobra.Command {
	command := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with an installation, and say what to do", Args: exactly(0, "no arguments"),
		Long: "Look for what is wrong with an installation, and say what to do about it. It changes nothing.\n\n" +
			"With DATABASE_URL it looks at the database: server, settings, schema, roles, encryption keys, clock, workers, stuck tasks,\n" +
			"archive, tables, long transactions. With ENCRYPTION_KEY and ENCRYPTION_KEYS_PREVIOUS as the services have them it compares the\n" +
			"keys, and with TASK_RETENTION the age of finished tasks. With a key for the API it looks at the API, and at what it says. It\n" +
			"always tries to reach STRIPE_API_URL, without any key, and compares Stripe's clock.\n\n" +
			"Each finding is ok, warn or fail. The exit code is 1 when one is fail, with --strict also when one is warn.",
		Example: "  DATABASE_URL_FILE=/run/secrets/database_url billctl doctor\n  billctl doctor --context prod --skip stripe --json",
	}
	var flags doctorFlags
	flags.apiFlags.add(command)
	command.Flags().StringSliceVar(&flags.skip, "skip", nil, "leave these out: "+strings.Join(doctor.Checks(), ", "))
	command.Flags().BoolVar(&flags.strict, "strict", false, "make the exit code 1 at a warning too")
	listCompletion(command, "skip", doctor.Checks())
	command.RunE = func(command *cobra.Command, _ []string) error {
		for _, name := range flags.skip {
			if !slices.Contains(doctor.Checks(), name) {
				return usageError{errors.New("--skip must be of " + strings.Join(doctor.Checks(), ", "))}
			}
		}
		return p.examine(command.Context(), flags)
	}
	return command
}

func (p *program) examine(ctx context.Context, flags doctorFlags) (err error) {
	opts := doctor.Options{Skip: flags.skip, Now: p.Now, Stripe: &doctor.Stripe{URL: "https://api.stripe.com"}}
	if address, found := p.lookup("STRIPE_API_URL"); found {
		opts.Stripe.URL = address
	}
	if err := p.doctorAPI(ctx, flags, &opts); err != nil {
		return err
	}
	db, err := p.doctorDatabase(&opts)
	if err != nil {
		return err
	}
	if db != nil {
		defer func() { err = errors.Join(err, db.Close()) }()
	}
	if opts.API == nil && opts.Database == nil {
		return configError{errors.New("there is nothing to look at: set DATABASE_URL, or give a key for the API (billctl context --help)")}
	}
	findings := []doctor.Finding{}
	doctor.Examine(ctx, opts, func(one doctor.Finding) {
		findings = append(findings, one)
		if !flags.json {
			p.printFinding(one)
		}
	})
	if ctx.Err() != nil {
		return interrupted(ctx, ctx.Err())
	}
	return p.diagnosis(flags, findings)
}

// doctorAPI adds the API, if somebody has named it or there is a key for it.
func (p *program) doctorAPI(ctx context.Context, flags doctorFlags, opts *doctor.Options) error {
	named := flags.url != "" || flags.context != ""
	for _, name := range []string{"BILLONCE_URL", "BILLONCE_CONTEXT", "BILLONCE_API_KEY", "BILLONCE_API_KEY_FILE", "ADMIN_API_KEY", "ADMIN_API_KEY_FILE"} {
		_, found := p.lookup(name)
		named = named || found
	}
	if !named {
		name, _, err := p.chosenContext("")
		if err != nil {
			return err
		}
		if name == "" {
			return nil
		}
	}
	api, err := p.connect(ctx, flags.apiFlags)
	if err != nil {
		return err
	}
	opts.API = api
	return nil
}

// doctorDatabase adds the database, if there is DATABASE_URL. The caller closes it.
func (p *program) doctorDatabase(opts *doctor.Options) (*store.DB, error) {
	if _, found, err := p.variable("DATABASE_URL"); err != nil || !found {
		return nil, err
	}
	var faults []error
	url, err := p.databaseURL()
	faults = append(faults, err)
	sealer, _, err := p.vault(false)
	faults = append(faults, err)
	retention, err := p.retention()
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return nil, configError{err}
	}
	db, err := store.Open(store.Options{URL: url, MaxConns: 1, Name: "billctl doctor"})
	if err != nil {
		return nil, configError{err}
	}
	opts.Database, opts.Keys, opts.Retention = db.Checkup(), keyRing{vault: sealer}.ids(), retention
	return db, nil
}

// retention is TASK_RETENTION as the workers read it.
func (p *program) retention() (time.Duration, error) {
	text, _ := p.lookup("TASK_RETENTION")
	age, err := config.ParseRetention(text)
	if err != nil {
		return 0, errors.New("TASK_RETENTION must be a number of days such as 400d, a duration such as 36h, or 0")
	}
	return time.Duration(age), nil
}

func (p *program) printFinding(one doctor.Finding) {
	if p.quiet && one.Level == doctor.OK {
		return
	}
	p.printf("%-4s  %-12s  %s\n", one.Level, one.Check, plain(one.What))
	if one.Do != "" {
		p.printf("%20s→ %s\n", "", plain(one.Do))
	}
	if one.Runbook != "" {
		p.printf("%20s  %s\n", "", one.Runbook)
	}
}

// diagnosis ends the examination.
func (p *program) diagnosis(flags doctorFlags, findings []doctor.Finding) error {
	counts := map[doctor.Level]int{doctor.OK: 0, doctor.Warn: 0, doctor.Fail: 0}
	for _, one := range findings {
		counts[one.Level]++
	}
	if flags.json {
		err := p.printJSON(struct {
			Findings []doctor.Finding     `json:"findings"`
			Counts   map[doctor.Level]int `json:"counts"`
		}{findings, counts})
		if err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("%d ok, %s, %s", counts[doctor.OK], several(counts[doctor.Warn], "warning"), several(counts[doctor.Fail], "failure"))
	if counts[doctor.Fail] > 0 || flags.strict && counts[doctor.Warn] > 0 {
		return errors.New(summary)
	}
	p.notef("%s\n", summary)
	return nil
}

// several counts things whose plural ends in s.
func several(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
