package httpapi

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	mostPeers   = 4096 // remembered at once
	peersLooked = 16   // at, to make room for one
	mostWaiting = 60   // tries that an address can owe
	ipv6Network = 64   // bits: one client has at least that many addresses
)

// throttle slows down who guesses: each address may present a few wrong keys, and then one in a while. It remembers only
// addresses that have done so lately, and not more than [mostPeers].
type throttle struct {
	burst int           // wrong keys at once
	every time.Duration // after this long one more

	count atomic.Int64 // of peers: nothing is locked while there are none
	mu    sync.Mutex
	peers map[netip.Prefix]misses
}

// Guesses slows down who makes up something else than keys, in the same way. Each counts by itself: wrong keys keep nobody from the rest.
type Guesses struct{ throttle }

// NewGuesses returns one with the limits that wrong keys have.
func NewGuesses(config Config) *Guesses {
	config = config.withDefaults()
	return &Guesses{throttle{burst: config.WrongKeys, every: config.WrongEvery}}
}

// Wait returns how long an address has to wait until it may guess again, 0 if it may now.
func (g *Guesses) Wait(address string) time.Duration { return g.wait(address, time.Now()) }

// Missed records that an address has guessed wrong.
func (g *Guesses) Missed(address string) { g.missed(address, time.Now()) }

type misses struct {
	owed float64 // wrong keys that have not been forgiven, at the given time
	at   time.Time
}

// peerOf is the network that an address stands for. Addresses that cannot be read are one.
func peerOf(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = ipv6Network
	}
	network, _ := addr.Prefix(bits) // the bits are within the address
	return network
}

func (t *throttle) owed(m misses, now time.Time) float64 {
	return max(0, m.owed-now.Sub(m.at).Seconds()/t.every.Seconds())
}

// wait returns how long an address has to wait until it may try another key, 0 if it may now.
func (t *throttle) wait(address string, now time.Time) time.Duration {
	if t.count.Load() == 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	peer := peerOf(address)
	m, ok := t.peers[peer]
	if !ok {
		return 0
	}
	owed := t.owed(m, now)
	if owed == 0 {
		t.forget(peer)
	}
	if over := owed - float64(t.burst-1); over > 0 {
		return time.Duration(over * float64(t.every))
	}
	return 0
}

// missed records that an address has presented a wrong key.
func (t *throttle) missed(address string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	peer := peerOf(address)
	m, ok := t.peers[peer]
	if !ok && len(t.peers) >= mostPeers {
		t.makeRoom(now)
	}
	if t.peers == nil {
		t.peers = map[netip.Prefix]misses{}
	}
	t.peers[peer] = misses{owed: min(t.owed(m, now)+1, float64(t.burst+mostWaiting)), at: now}
	t.count.Store(int64(len(t.peers)))
}

// makeRoom forgets the one that owes least of a few: who tries from thousands of addresses is not to make us forget who tries most.
func (t *throttle) makeRoom(now time.Time) {
	var least netip.Prefix
	lowest, looked := 0.0, 0
	for peer, m := range t.peers {
		if owed := t.owed(m, now); looked == 0 || owed < lowest {
			least, lowest = peer, owed
		}
		if looked++; looked == peersLooked {
			break
		}
	}
	t.forget(least)
}

func (t *throttle) forget(peer netip.Prefix) {
	delete(t.peers, peer)
	t.count.Store(int64(len(t.peers)))
}
