package console

import (
	"sync"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const (
	mostNames  = 8                // merchants whose names a list asks for; it must not wait for many
	namesFresh = 10 * time.Second // that a name may be behind
	namesKept  = 1_000
)

// names keeps merchants' names for a moment: every list of tasks shows them, and they hardly ever change. It says nothing to whoever
// may not see the merchant, since only names for tasks that the visitor sees are asked for.
type names struct {
	now   func() time.Time
	mu    sync.Mutex
	known map[string]name
}

type name struct {
	text string
	at   time.Time
}

// of returns the names that are known, by the ids of merchants, and which are not.
func (n *names) of(tasks []client.Task) (found map[string]string, unknown []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found = map[string]string{}
	now := n.now()
	for _, task := range tasks {
		if _, seen := found[task.MerchantID]; seen {
			continue
		}
		one := n.known[task.MerchantID]
		fresh := now.Sub(one.at) < namesFresh
		if found[task.MerchantID] = ""; fresh {
			found[task.MerchantID] = one.text
		} else {
			unknown = append(unknown, task.MerchantID)
		}
	}
	return found, unknown
}

func (n *names) keep(id, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= namesKept {
		clear(n.known)
	}
	n.known[id] = name{text, n.now()}
}

// namesOf returns the names of the merchants of tasks, as far as the key may know them. Those that are not found at once are shown by
// their ids.
func (c *Console) namesOf(v *visit, tasks []client.Task) map[string]string {
	if !v.may(billing.ScopeMerchantsRead) {
		return map[string]string{}
	}
	found, unknown := c.names.of(tasks)
	unknown = unknown[:min(len(unknown), mostNames)]
	calls := make([]func() error, len(unknown))
	texts := make([]string, len(unknown))
	for i, id := range unknown {
		calls[i] = func() error {
			merchant, err := c.api.GetMerchant(v.ctx, id)
			if err == nil {
				texts[i] = merchant.Name
				c.names.keep(id, merchant.Name)
			}
			return err
		}
	}
	_ = together(calls...) // a name is not worth a page
	for i, id := range unknown {
		found[id] = texts[i]
	}
	return found
}
