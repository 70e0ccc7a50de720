package stripesim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// KeyUse is all that the simulator has seen of one idempotency key, from the first request that carried it: also of
// requests that were refused before Stripe would have looked at it, of keys that have expired since, and of DELETE, which
// knows no keys though clients send them. A blank key is none.
//
// It is kept until [Simulator.Reset], however long the request log is: about half a kilobyte for each key.
type KeyUse struct {
	Key          string      `json:"key"`
	Account      string      `json:"account"`      // the first that it was sent for; "" where that could not be told
	Accounts     []string    `json:"accounts"`     // all of them
	Requests     int         `json:"requests"`     // that arrived
	Unread       int         `json:"unread"`       // of these, how many met a fault before their body was read
	Fingerprints int         `json:"fingerprints"` // distinct ones among those read: method, path, query, body, account, way of authentication
	AuthModes    []string    `json:"auth_modes"`   // distinct ones, in the order of their first use
	FirstAt      time.Time   `json:"first_at"`     // of the requests' arrival, by the simulator's clock
	LastAt       time.Time   `json:"last_at"`
	Effects      int         `json:"effects"`
	Answers      []KeyAnswer `json:"answers"`       // in the order in which they left; see Omitted
	Faults       []FaultKind `json:"faults"`        // in the order in which they struck; see Omitted
	Dropped      []string    `json:"dropped"`       // the types of its events that are never listed; see [Switches.EventDrops]
	StoredStatus int         `json:"stored_status"` // of the answer kept under the key, or last kept; 0: none
	Omitted      int         `json:"omitted"`       // answers and faults beyond the first 1000 of each
}

// KeyAnswer is one answer that left for a client who was still there.
type KeyAnswer struct {
	RequestID string    `json:"request_id"` // as the client read it; "" on pages of the edge, which bear none
	Status    int       `json:"status"`
	Replayed  bool      `json:"replayed,omitempty"`
	Fault     FaultKind `json:"fault,omitempty"` // the last fault that met the request: a half body may hide the rest
}

const (
	defaultKeyPage = 1000
	maxKeyPage     = 10_000
	keepPerKey     = 1000 // answers, faults and fingerprints of one key
)

// usedKey is a KeyUse in the making.
type usedKey struct {
	KeyUse
	prints [][8]byte
}

// seenKeys keeps what was seen of every key, in the order of their first arrival. The simulator's lock guards it.
type seenKeys struct {
	at   map[string]int
	rows []*usedKey
}

func (k *seenKeys) get(key string) *usedKey {
	i, ok := k.at[key]
	if !ok {
		return nil
	}
	return k.rows[i]
}

// arrived counts a request that has been noted in the log.
func (k *seenKeys) arrived(x *exchange) {
	if x.key == "" {
		return
	}
	one := k.get(x.key)
	if one == nil {
		if k.at == nil {
			k.at = make(map[string]int)
		}
		k.at[x.key] = len(k.rows)
		one = &usedKey{KeyUse: KeyUse{Key: x.key, FirstAt: x.log.At}}
		k.rows = append(k.rows, one)
	}
	one.Requests++
	one.Unread++ // until it is read
	one.LastAt = x.log.At
	if one.Account == "" {
		one.Account = x.who.account
	}
	if x.who.account != "" && !slices.Contains(one.Accounts, x.who.account) {
		one.Accounts = append(one.Accounts, x.who.account)
	}
	if x.who.mode != "" && !slices.Contains(one.AuthModes, x.who.mode) {
		one.AuthModes = append(one.AuthModes, x.who.mode)
	}
}

// read takes the fingerprint of a request whose body was hashed.
func (k *seenKeys) read(x *exchange) {
	one := k.get(x.key)
	if one == nil {
		return
	}
	one.Unread--
	text := x.r.Method + "\x00" + x.r.URL.RequestURI() + "\x00" + x.log.BodyHash + "\x00" + x.who.account + "\x00" +
		strconv.FormatBool(x.who.live) + "\x00" + x.who.mode
	sum := sha256.Sum256([]byte(text))
	short := [8]byte(sum[:8])
	if len(one.prints) < keepPerKey && !slices.Contains(one.prints, short) {
		one.prints = append(one.prints, short)
		one.Fingerprints = len(one.prints)
	}
}

func (k *seenKeys) answered(x *exchange, status int, requestID string) {
	one := k.get(x.key)
	if one == nil {
		return
	}
	if len(one.Answers) >= keepPerKey {
		one.Omitted++
		return
	}
	one.Answers = append(one.Answers, KeyAnswer{RequestID: requestID, Status: status, Replayed: x.log.Replayed, Fault: x.log.Fault})
}

func (k *seenKeys) struck(key string, kind FaultKind) {
	one := k.get(key)
	if one == nil {
		return
	}
	if len(one.Faults) >= keepPerKey {
		one.Omitted++
		return
	}
	one.Faults = append(one.Faults, kind)
}

func (k *seenKeys) dropped(key, event string) {
	if one := k.get(key); one != nil && len(one.Dropped) < keepPerKey {
		one.Dropped = append(one.Dropped, event)
	}
}

func (k *seenKeys) effect(key string) {
	if one := k.get(key); one != nil {
		one.Effects++
	}
}

func (k *seenKeys) stored(key string, status int) {
	if one := k.get(key); one != nil {
		one.StoredStatus = status
	}
}

var errKey = errors.New("no such key")

// Keys returns what was seen of up to limit keys, in the order of their first arrival, from the one behind after on; after
// "" starts at the first. more says whether others follow. The caller owns the slices.
func (s *Simulator) Keys(after string, limit int) (page []KeyUse, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := 0
	if after != "" {
		i, ok := s.keys.at[after]
		if !ok {
			return nil, false, fmt.Errorf("keys after %q: %w", after, errKey)
		}
		from = i + 1
	}
	page = []KeyUse{}
	for _, one := range s.keys.rows[from:] {
		if len(page) >= limit {
			return page, true, nil
		}
		page = append(page, one.show())
	}
	return page, false, nil
}

// show copies, with empty lists for what there is none of.
func (u *usedKey) show() KeyUse {
	shown := u.KeyUse
	shown.Accounts = append([]string{}, u.Accounts...)
	shown.AuthModes = append([]string{}, u.AuthModes...)
	shown.Answers = append([]KeyAnswer{}, u.Answers...)
	shown.Faults = append([]FaultKind{}, u.Faults...)
	shown.Dropped = append([]string{}, u.Dropped...)
	return shown
}

func (s *Simulator) getKeys(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit := defaultKeyPage
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxKeyPage {
			replyError(w, fmt.Errorf("limit must be a number within 1 and %d", maxKeyPage))
			return
		}
		limit = n
	}
	page, more, err := s.Keys(query.Get("after"), limit)
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"data": page, "has_more": more})
}
