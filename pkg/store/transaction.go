package store

import (
	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// transaction is one that is under way, with the entries of the audit log that it has written: an entry counts once its transaction has
// committed, and only then.
type transaction struct {
	*sqlx.Tx
	noted []billing.Action
}

// CountAudit makes count be called for each entry of the audit log that is written from now on. It is called before anything else.
func (db *DB) CountAudit(count func(billing.Action)) { db.audited = count }
