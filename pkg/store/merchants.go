package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"billonce/pkg/billing"
)

const (
	mostKept  = 4096      // merchants
	keptAtAll = time.Hour // a version is the number of a transaction, and these come round again after four thousand million
)

// keptMerchants are rows of merchants as they were read last, with the access token sealed, each with its version. A claim says which version it saw:
// a row of that version need not be read again, and one of any other is never used.
type keptMerchants struct {
	mu   sync.Mutex
	rows map[billing.MerchantID]keptMerchant
}

type keptMerchant struct {
	row     merchantRow
	version billing.MerchantVersion
	read    time.Time
}

// find returns what is kept of those wanted, and the ids of the others.
func (k *keptMerchants) find(wanted map[billing.MerchantID]billing.MerchantVersion) (found []merchantRow, missing []billing.MerchantID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now() //nolint:forbidigo // the age of what is kept, not of a task
	for id, version := range wanted {
		if kept, ok := k.rows[id]; ok && version != "" && kept.version == version && now.Sub(kept.read) < keptAtAll {
			found = append(found, kept.row)
		} else {
			missing = append(missing, id)
		}
	}
	return found, missing
}

// forget is for when something went wrong: a server that another one has replaced may have lost transactions, and gives their numbers
// once more.
func (k *keptMerchants) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rows = nil
}

func (k *keptMerchants) keep(row merchantRow, version billing.MerchantVersion) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rows == nil || len(k.rows) >= mostKept {
		k.rows = map[billing.MerchantID]keptMerchant{}
	}
	k.rows[billing.MerchantID(row.ID)] = keptMerchant{row: row, version: version, read: time.Now()} //nolint:forbidigo // as above
}

// GetMerchants returns many merchants at once with their access tokens opened, all that a call to Stripe takes: as the version wanted
// says, or later; "" asks for the present one. A merchant whose token does not open is in failed, with the error of
// [Store.GetMerchant], and holds back no other; one that does not exist is in neither map.
func (s *Store) GetMerchants(ctx context.Context, wanted map[billing.MerchantID]billing.MerchantVersion) (opened map[billing.MerchantID]billing.Merchant, failed map[billing.MerchantID]error, err error) {
	rows, missing := s.merchants.find(wanted)
	if len(missing) > 0 {
		read, err := s.readMerchants(ctx, missing)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, read...)
	}
	opened, failed = make(map[billing.MerchantID]billing.Merchant, len(rows)), map[billing.MerchantID]error{}
	for _, row := range rows {
		merchant, err := s.open(ctx, row)
		if err != nil {
			failed[billing.MerchantID(row.ID)] = err
			continue
		}
		opened[merchant.ID] = merchant
	}
	return opened, failed, nil
}

func (s *Store) readMerchants(ctx context.Context, ids []billing.MerchantID) ([]merchantRow, error) {
	list, err := uuids(ids)
	if err != nil {
		return nil, fmt.Errorf("get merchants: %w", err)
	}
	rows, err := s.db.sqlx.QueryContext(ctx,
		`SELECT `+merchantProfile+`, access_token, access_token_key_id, access_token_binding, xmin AS version FROM merchants WHERE id = ANY($1::uuid[])`, list)
	if err != nil {
		return nil, translate("get merchants", err)
	}
	defer func() { _ = rows.Close() }()
	var found []merchantRow
	var row merchantRow
	var version billing.MerchantVersion
	for into := append(row.columns(), (*string)(&version)); rows.Next(); {
		if err := rows.Scan(into...); err != nil {
			return nil, translate("get merchants", err)
		}
		s.merchants.keep(row, version)
		found = append(found, row)
	}
	if err := rows.Err(); err != nil {
		return nil, translate("get merchants", err)
	}
	return found, nil
}

// columns are where merchantProfile and the sealed access token go, one after the other.
func (row *merchantRow) columns() []any {
	return []any{
		&row.ID, &row.Name, &row.StripeConnectID, &row.Livemode, &row.HasAccessToken, &row.HasRefreshToken, &row.PauseReason,
		&row.PauseDetail, &row.Disconnected, &row.CreatedAt, &row.UpdatedAt, &row.AccessToken,
		&row.AccessKeyID, &row.AccessBinding,
	}
}
