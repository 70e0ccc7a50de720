package store

import (
	"sync"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// notes are the entries of the audit log that transactions under way have written: an entry counts once its transaction has
// committed, and only then.
type notes struct {
	mu   sync.Mutex
	byTx map[*sqlx.Tx][]billing.Action
}

var noted = notes{byTx: map[*sqlx.Tx][]billing.Action{}} //nolint:gochecknoglobals // [note] knows nothing but the transaction

func (n *notes) add(tx *sqlx.Tx, action billing.Action) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byTx[tx] = append(n.byTx[tx], action)
}

func (n *notes) forget(tx *sqlx.Tx) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.byTx, tx)
}

// tell calls count for each entry of a transaction.
func (n *notes) tell(tx *sqlx.Tx, count func(billing.Action)) {
	n.mu.Lock()
	actions := n.byTx[tx]
	n.mu.Unlock()
	for _, action := range actions {
		count(action)
	}
}

// CountAudit makes count be called for each entry of the audit log that is written from now on. It is called before anything else.
func (db *DB) CountAudit(count func(billing.Action)) { db.audited = count }
