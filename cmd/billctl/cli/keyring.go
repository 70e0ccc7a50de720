package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"billonce/pkg/config"
	"billonce/pkg/store"
	"billonce/pkg/vault"
)

// scanPatience is how long one statement that counts all merchants may take.
const scanPatience = 5 * time.Minute

// keyRing is what keys rotate and keys verify work with, and keys status if it is there.
type keyRing struct {
	db    *store.DB
	vault *vault.Vault // nil: there is no ENCRYPTION_KEY
	bound bool         // ENCRYPTION_BINDING demands bindings
}

// withKeyRing opens the database with the keys that the environment names, and names everything that is wrong with it at once.
// needed says that there must be a key.
func (p *program) withKeyRing(ctx context.Context, needed bool, run func(ring keyRing) error) (err error) {
	var faults []error
	url, err := p.databaseURL()
	if err != nil {
		faults = append(faults, err)
	}
	ring := keyRing{}
	if ring.vault, ring.bound, err = p.vault(needed); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return configError{errors.Join(faults...)}
	}
	ring.db, err = store.Open(store.Options{URL: url, MaxConns: 2, Name: "billctl keys", Patience: scanPatience})
	if err != nil {
		return configError{err}
	}
	defer func() { err = errors.Join(err, ring.db.Close()) }()
	if err := ring.db.RequireSchema(ctx); err != nil {
		return err
	}
	return run(ring)
}

// vault reads ENCRYPTION_KEY, ENCRYPTION_KEYS_PREVIOUS and ENCRYPTION_BINDING as the services do. bound says that the last demands
// bindings.
func (p *program) vault(needed bool) (sealer *vault.Vault, bound bool, err error) {
	var faults []error
	text, found, err := p.variable("ENCRYPTION_KEY")
	primary := vault.Key{}
	switch {
	case err != nil:
		faults = append(faults, err)
	case found:
		if primary, err = vault.ParseKey(text); err != nil {
			faults = append(faults, fmt.Errorf("ENCRYPTION_KEY: %w", err))
		}
	case needed:
		faults = append(faults, errors.New("ENCRYPTION_KEY is not set, nor is ENCRYPTION_KEY_FILE"))
	}
	list, listed, err := p.variable("ENCRYPTION_KEYS_PREVIOUS")
	if err != nil {
		faults = append(faults, err)
	} else if listed && !found && !needed {
		faults = append(faults, errors.New("ENCRYPTION_KEYS_PREVIOUS needs ENCRYPTION_KEY beside it"))
	}
	var previous []vault.Key
	for i, item := range (config.Common{PreviousKeys: list}).Previous() {
		key, err := vault.ParseKey(item)
		if err != nil {
			faults = append(faults, fmt.Errorf("ENCRYPTION_KEYS_PREVIOUS: item %d: %w", i+1, err))
			continue
		}
		previous = append(previous, key)
	}
	binding, named := p.lookup("ENCRYPTION_BINDING")
	if named && binding != config.BindingOptional && binding != config.BindingRequired {
		faults = append(faults, errors.New("ENCRYPTION_BINDING must be optional or required"))
	}
	if len(faults) > 0 || !found {
		return nil, false, errors.Join(faults...)
	}
	sealer, err = vault.New(primary, previous...)
	return sealer, binding == config.BindingRequired, err
}
