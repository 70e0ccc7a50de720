package app

import (
	"context"
	"errors"
	"log/slog"

	"billonce/pkg/billing"
	"billonce/pkg/config"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/telemetry"
	"billonce/pkg/vault"
)

var _ store.Alarm = (*keyAlarm)(nil)

// keyAlarm tells operators what happens to keys and sealed tokens.
type keyAlarm struct {
	log     *slog.Logger
	metrics *telemetry.KeyMetrics
}

// TokenRefused implements [store.Alarm].
func (a *keyAlarm) TokenRefused(ctx context.Context, refused store.RefusedToken) {
	a.metrics.TokenRefused(refused.Fault)
	a.log.ErrorContext(ctx, "stored credentials refused", slog.String("merchant_id", string(refused.MerchantID)),
		slog.String("column", refused.Column), slog.String("key_id", refused.KeyID), slog.String("fault", string(refused.Fault)))
}

// TokenOpenedUnbound implements [store.Alarm].
func (a *keyAlarm) TokenOpenedUnbound() { a.metrics.TokenOpenedUnbound() }

// TokenSealed implements [store.Alarm].
func (a *keyAlarm) TokenSealed(keyID string, ok bool) { a.metrics.TokenSealed(keyID, ok) }

// TokenOpened implements [store.Alarm].
func (a *keyAlarm) TokenOpened(keyID string, ok bool) { a.metrics.TokenOpened(keyID, ok) }

// SealingsCounted implements [store.Alarm].
func (a *keyAlarm) SealingsCounted(ctx context.Context, keyID string, sealings int64) {
	a.metrics.Sealings(sealings)
	level := slog.LevelWarn
	switch {
	case sealings < billing.SealingsMany:
		return
	case sealings >= billing.SealingsMost:
		level = slog.LevelError
	}
	a.log.Log(ctx, level, "the encryption key has sealed many times: rotate it", slog.String("key_id", keyID),
		slog.Int64("sealings", sealings), slog.Int64("sealings_at_most", billing.SealingsMost))
}

// keyFault returns what is wrong with the encryption key, nil if err is about something else, which waiting may mend.
func keyFault(err error) error {
	var misconfigured *config.Error
	var mismatch *store.KeyMismatch
	var retired *store.KeyRetired
	var unbound *store.BindingsMissing
	var known *billing.Error
	switch {
	case errors.As(err, &misconfigured):
		return misconfigured
	case errors.As(err, &unbound):
		return &config.Error{Faults: []string{"ENCRYPTION_BINDING cannot be required yet: " + unbound.Error()}}
	case errors.As(err, &retired):
		return &config.Error{Faults: []string{"ENCRYPTION_KEY does not fit: " + retired.Error() +
			"; to go back to it nevertheless, `billctl keys reinstate " + retired.Key + "` comes first"}}
	case errors.As(err, &mismatch):
		return &config.Error{Faults: []string{"ENCRYPTION_KEY does not fit: " + mismatch.Error()}}
	case errors.As(err, &known) && known.Code == billing.CodeTokenUnreadable:
		return &config.Error{Faults: []string{"ENCRYPTION_KEY does not fit: " + known.Message}}
	}
	return nil
}

// adoptKey settles which key seals: the configured one, or in development one that all processes share through the
// database. It returns a [*store.KeyMismatch] when the database was sealed with another.
func (b *foundation) adoptKey(ctx context.Context) error {
	text, previous := b.conf.Key, b.conf.Previous()
	shared := text.Empty()
	if shared {
		candidate, err := vault.GenerateKey()
		if err != nil {
			return err
		}
		if text, err = b.db.DevelopmentKey(ctx, candidate.Encode()); err != nil {
			return err
		}
	}
	primary, err := vault.ParseKey(text)
	if err != nil {
		return &config.Error{Faults: []string{"ENCRYPTION_KEY " + err.Error()}}
	}
	others := make([]vault.Key, len(previous))
	for i, key := range previous {
		if others[i], err = vault.ParseKey(key); err != nil {
			return &config.Error{Faults: []string{"ENCRYPTION_KEYS_PREVIOUS " + err.Error()}}
		}
	}
	if b.vault, err = vault.New(primary, others...); err != nil {
		return err
	}
	records := b.keyRecords()
	held := make([]string, len(records))
	for i, record := range records {
		held[i] = record.ID
	}
	b.alarm.metrics.Holds(held[0], held[1:]...)
	if err := b.db.AdoptKey(ctx, b.vault, records[0], records[1:]...); err != nil {
		return err
	}
	if err := b.settleBinding(ctx); err != nil {
		return err
	}
	if shared {
		b.log.WarnContext(ctx, "no ENCRYPTION_KEY: using a key that is kept in the database itself, which protects nothing; set ENCRYPTION_KEY",
			slog.String("key_id", primary.ID()))
	}
	b.log.InfoContext(ctx, "encryption key adopted", slog.String("key_id", primary.ID()))
	sealings, err := b.db.Sealings(ctx, primary.ID())
	if err != nil {
		return err
	}
	b.alarm.SealingsCounted(ctx, primary.ID(), sealings)
	return nil
}

// settleBinding demands bindings where the configuration does, or where any process of this database ever has. It comes after the key is
// proven, which a token without a binding can do.
func (b *foundation) settleBinding(ctx context.Context) error {
	if b.conf.RequiresBinding() {
		if err := b.db.DemandBindings(ctx); err != nil {
			return err
		}
		b.vault.RequireBinding()
		return nil
	}
	demanded, err := b.db.BindingsDemanded(ctx)
	if err != nil || !demanded {
		return err
	}
	b.log.WarnContext(ctx, "ENCRYPTION_BINDING is optional, and bindings have been required of this database before: they still are")
	b.vault.RequireBinding()
	return nil
}

func (b *foundation) keyRecords() []store.KeyRecord {
	var records []store.KeyRecord
	for _, key := range append([]vault.Key{b.vault.Primary()}, b.vault.Previous()...) {
		records = append(records, store.KeyRecord{ID: key.ID(), CheckValue: key.CheckValue()})
	}
	return records
}

// checkKey judges a configured encryption key.
func checkKey(text secret.Text, environment config.Environment) error {
	key, err := vault.ParseKey(text)
	if err != nil {
		return err
	}
	if environment == config.Production && key.Weak() {
		return errors.New("is not a random key; `billctl keys generate` makes one")
	}
	return nil
}
