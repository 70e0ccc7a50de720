package cli

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"billonce/cmd/billctl/operator"
	"billonce/cmd/billctl/progress"
	"billonce/cmd/billctl/rotation"
	"billonce/pkg/billing"
	"billonce/pkg/store"
)

// workFlags are what long pieces of work are told.
type workFlags struct{ json bool }

func (f *workFlags) add(command *cobra.Command) {
	command.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
}

type rotateFlags struct {
	workFlags
	rate        float64
	bindUnbound bool
}

func (p *program) keysRotate() *cobra.Command {
	command := &cobra.Command{
		Use: "rotate", Short: "Seal every stored token with ENCRYPTION_KEY, and bind it to its place", Args: exactly(0, "no arguments"),
		Long: "Seal every stored token with ENCRYPTION_KEY, and bind it to its place, while api and workers run.\n\n" +
			"  1. Give every process the new key as one more of ENCRYPTION_KEYS_PREVIOUS, so that all can open what it seals.\n" +
			"  2. Make it ENCRYPTION_KEY, and the old one a previous key, everywhere. New tokens are sealed with it from now on.\n" +
			"  3. Run this, with the same variables and DATABASE_URL.\n" +
			"     When it ends with nothing left the old key is retired: no service can be started any more that seals with it.\n" +
			"  4. When keys status says that the old key has sealed nothing that is stored, and keys verify that every token opens,\n" +
			"     take the old key away.\n\n" +
			"It may be stopped at any moment and run again; it goes on where it was. A token that is stored meanwhile is never undone.\n" +
			"A token that does not open stays as it is, is listed, and makes the exit code 3. Once a service was\n" +
			"started with ENCRYPTION_BINDING=required, that goes for a token that is bound to no place as well, whatever this shell says:\n" +
			"somebody may have moved it there. --bind-unbound binds such tokens where they are. Look at each before you use it.",
	}
	var flags rotateFlags
	flags.add(command)
	command.Flags().Float64Var(&flags.rate, "rate", 0, "merchants a second at most; 0: as fast as it goes")
	command.Flags().BoolVar(&flags.bindUnbound, "bind-unbound", false, "bind what is bound to no place, even where bindings are demanded")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if flags.rate < 0 || math.IsNaN(flags.rate) {
			return usageError{errors.New("--rate must not be less than 0")}
		}
		return p.withKeyRing(command.Context(), true, func(ring keyRing) error {
			return p.rotate(command.Context(), ring, flags)
		})
	}
	return command
}

func (p *program) rotate(ctx context.Context, ring keyRing, flags rotateFlags) error {
	id, checkValue := ring.vault.SealingKey()
	key := store.KeyRecord{ID: id, CheckValue: checkValue}
	if err := ring.db.CheckKey(ctx, key); err != nil {
		return otherKey(err, id)
	}
	ctx = billing.WithActor(ctx, operator.Actor())
	if err := ring.db.NoteRotation(ctx, id, flags.bindUnbound); err != nil {
		return err
	}
	tokens := store.New(ring.db, ring.vault)
	switch {
	case flags.bindUnbound:
		tokens.BindUnbound()
	case ring.bound:
		ring.vault.RequireBinding()
	}
	began := p.Now()
	meter := p.meter(progress.Words{Doing: "sealing the tokens of", Things: "merchants", Done: "sealed"})
	done, err := rotation.Rotate(ctx, tokens, rotation.Options{Rate: flags.rate, Now: p.Now}, meter)
	if err != nil {
		return fmt.Errorf("%w; the tokens of %d merchants were sealed: run it again to go on", otherKey(interrupted(ctx, err), id), done.Resealed)
	}
	if done.Left == 0 {
		if err := ring.db.RetireOthers(ctx, key); err != nil {
			return otherKey(err, id)
		}
	}
	if flags.json {
		err = p.printJSON(struct {
			KeyID    string         `json:"key_id"`
			Resealed int            `json:"merchants_resealed"`
			Changed  int            `json:"merchants_changed_meanwhile"`
			Left     int            `json:"merchants_left"`
			Seconds  float64        `json:"seconds"`
			Refused  []refusedToken `json:"refused"`
		}{id, done.Resealed, done.Changed, done.Left, p.Now().Sub(began).Seconds(), showRefused(done.Refused)})
		if err != nil {
			return err
		}
	} else {
		p.printRefused(done.Refused)
		p.printf("sealed the tokens of %d merchants with key %s\n", done.Resealed, id)
	}
	if done.Left > 0 {
		return fmt.Errorf("%d merchants' tokens still are not sealed with key %s: some process goes on sealing with another", done.Left, id)
	}
	return p.refusal(done.Refused)
}

// otherKey says what to do about a [*store.KeyMismatch].
func otherKey(err error, id string) error {
	var mismatch *store.KeyMismatch
	if !errors.As(err, &mismatch) {
		return err
	}
	return configError{fmt.Errorf("the services seal with key %s and not with ENCRYPTION_KEY %s: give it to them first, see billctl keys rotate --help",
		mismatch.Database, id)}
}

// interrupted says so in place of whatever failed when the person at the terminal ended it.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

func (p *program) keysReinstate() *cobra.Command {
	command := &cobra.Command{
		Use: "reinstate ID", Short: "Allow services to seal with a retired encryption key again", Args: exactly(1, "the id of one key"),
		Long: "Allow services to seal with a retired encryption key again, to go back to it: then exchange ENCRYPTION_KEY and the previous key\n" +
			"everywhere, and run keys rotate. keys status shows the ids.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		return p.withKeyRing(command.Context(), false, func(ring keyRing) error {
			if err := ring.db.ReinstateKey(billing.WithActor(command.Context(), operator.Actor()), args[0]); err != nil {
				return err
			}
			p.printf("key %s may seal again\n", args[0])
			return nil
		})
	}
	return command
}

func (p *program) keysVerify() *cobra.Command {
	command := &cobra.Command{
		Use: "verify", Short: "Open every stored token and list those that do not open", Args: exactly(0, "no arguments"),
		Long: "Open every stored token with ENCRYPTION_KEY and ENCRYPTION_KEYS_PREVIOUS, and list those that do not open. No token is shown.\n\n" +
			"The exit code is 3 when one does not open. Those that are bound to no place are listed as well with\n" +
			"ENCRYPTION_BINDING=required, and once a service was started like that.",
	}
	var flags workFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.withKeyRing(command.Context(), true, func(ring keyRing) error {
			return p.verify(command.Context(), ring, flags)
		})
	}
	return command
}

func (p *program) verify(ctx context.Context, ring keyRing, flags workFlags) error {
	if ring.bound {
		ring.vault.RequireBinding()
	}
	meter := p.meter(progress.Words{Doing: "opening the tokens of", Things: "merchants", Done: "in order"})
	found, err := rotation.Verify(ctx, store.New(ring.db, ring.vault), meter)
	if err != nil {
		return interrupted(ctx, err)
	}
	if flags.json {
		err := p.printJSON(struct {
			Merchants int            `json:"merchants"`
			Tokens    int            `json:"tokens"`
			Refused   []refusedToken `json:"refused"`
		}{found.Merchants, found.Tokens, showRefused(found.Refused)})
		if err != nil {
			return err
		}
	} else {
		p.printRefused(found.Refused)
		p.printf("%d of %d tokens of %d merchants open\n", found.Tokens-len(found.Refused), found.Tokens, found.Merchants)
	}
	return p.refusal(found.Refused)
}

// refusedToken is one as it is shown in JSON.
type refusedToken struct {
	MerchantID billing.MerchantID `json:"merchant_id"`
	Column     string             `json:"column"`
	KeyID      *string            `json:"key_id"`
	Fault      billing.TokenFault `json:"fault"`
}

func showRefused(tokens []store.RefusedToken) []refusedToken {
	shown := make([]refusedToken, len(tokens))
	for i, one := range tokens {
		shown[i] = refusedToken{MerchantID: one.MerchantID, Column: one.Column, Fault: one.Fault}
		if one.KeyID != "" {
			shown[i].KeyID = &one.KeyID
		}
	}
	return shown
}

func (p *program) printRefused(tokens []store.RefusedToken) {
	if len(tokens) == 0 {
		return
	}
	rows := [][]string{{"MERCHANT", "COLUMN", "KEY", "FAULT"}}
	for _, one := range tokens {
		rows = append(rows, []string{string(one.MerchantID), one.Column, dash(one.KeyID), faultText(one.Fault)})
	}
	p.table(rows)
}

func faultText(fault billing.TokenFault) string {
	switch fault {
	case billing.TokenKeyAbsent:
		return "its key is not among those given"
	case billing.TokenMisplaced:
		return "it was not stored here under this key: moved, replaced or rolled back"
	case billing.TokenUnbound:
		return "it is bound to no place"
	case billing.TokenUnreadable:
		return "it does not open with any key given"
	}
	return string(fault)
}

// refusal is the end of a command that found tokens which do not open.
func (p *program) refusal(tokens []store.RefusedToken) error {
	if len(tokens) == 0 {
		return nil
	}
	p.sayf("%d tokens do not open: see \"A stored token does not open\" in docs/runbook.md\n", len(tokens))
	return exitError{ExitRefused}
}
