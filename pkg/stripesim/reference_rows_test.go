package stripesim_test

import (
	"net/http"
	"strings"
	"time"

	"billonce/pkg/stripesim"
)

// twice plays the fault on the first of two payments.
func twice(f stripesim.Fault) func(*play) {
	return func(p *play) {
		p.fault(f)
		p.pay()
		p.pay()
	}
}

// faultsOfRequests are F1 to F13: what meets a request and its answer.
func faultsOfRequests() []referenceRow {
	masked := []string{"200 ok | 1", "200 ok replayed | 1"} // net/http has sent it again by itself
	lost := []string{"broken off | 0", "200 ok | 1"}
	stands := []string{"broken off | 1", "200 ok replayed | 1"}
	hidden := []string{"200 ok replayed | 1", "200 ok replayed | 1"}
	slow := []string{"409 idempotency_key_in_use | 0", "the first 200", "200 ok replayed | 1"}
	return []referenceRow{
		{name: "F1 reset", steps: twice(stripesim.Fault{Kind: stripesim.Refuse}), want: lost, alive: masked},
		{name: "F1 reset after a byte", steps: twice(stripesim.Fault{Kind: stripesim.Refuse, FirstByte: true}), want: lost},
		{name: "F1 hung", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.Hang})
			p.payUntilStruck(stripesim.Hang)
			p.pay()
		}, want: []string{"given up | 0", "200 ok | 1"}},
		{name: "F2 dropped", steps: twice(stripesim.Fault{Kind: stripesim.DropBefore}), want: lost, alive: masked},
		{name: "F2 dropped after a byte", steps: twice(stripesim.Fault{Kind: stripesim.DropBefore, FirstByte: true}), want: lost},
		{name: "F3 401", steps: twice(stripesim.Fault{Kind: stripesim.Reject, Status: 401}), want: []string{"401 | 0", "200 ok | 1"}},
		{name: "F3 403", steps: twice(stripesim.Fault{Kind: stripesim.Reject, Status: 403}), want: []string{"403 account_invalid | 0", "200 ok | 1"}},
		{name: "F3 429", steps: twice(stripesim.Fault{Kind: stripesim.Reject}), want: []string{"429 rate_limit | 0", "200 ok | 1"}},
		{name: "F4 committed late", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.Stall, Hold: true})
			p.payUntilStruck(stripesim.Stall)
			p.pay()
			p.b.Release()
			eventually(p.t, "the late commit", func() bool { return p.b.Active() == 0 })
			p.pay()
		}, want: []string{"given up | 0", "409 idempotency_key_in_use | 0", "200 ok replayed | 1"}},
		{name: "F5 dropped", steps: twice(stripesim.Fault{Kind: stripesim.DropAfter}), want: stands, alive: hidden},
		{name: "F5 dropped after a byte", steps: twice(stripesim.Fault{Kind: stripesim.DropAfter, FirstByte: true}), want: stands},
		{name: "F6 half a body", steps: twice(stripesim.Fault{Kind: stripesim.HalfBody}), want: stands},
		{name: "F7 garbage", steps: twice(stripesim.Fault{Kind: stripesim.Garbage}), want: []string{"200 undecodable | 1", "200 ok replayed | 1"}},
		{name: "F8 rolled back", steps: twice(stripesim.Fault{Kind: stripesim.ErrorRolledBack}), want: []string{"500 | 0", "500 replayed | 0"}},
		{name: "F9 kept", steps: func(p *play) {
			twice(stripesim.Fault{Kind: stripesim.ErrorKept, Delay: 2 * time.Hour})(p)
			p.events()
			p.b.Advance(2 * time.Hour)
			p.events()
			p.b.Advance(22*time.Hour - time.Minute)
			p.pay()
		}, want: []string{"500 | 1", "500 replayed | 1", "events 0", "events 4", "500 replayed | 1"}},
		{name: "F10 not reached", steps: twice(stripesim.Fault{Kind: stripesim.EdgeBefore, Status: 502}), want: []string{"502 undecodable | 0", "200 ok | 1"}},
		{name: "F10 reached", steps: twice(stripesim.Fault{Kind: stripesim.EdgeAfter, Status: 504}), want: []string{"504 undecodable | 1", "200 ok replayed | 1"}},
		{name: "F11 in use", steps: func(p *play) {
			p.meanwhile(p.pay)
			p.pay()
		}, want: slow},
		{name: "F11 in use, other parameters", steps: func(p *play) {
			p.meanwhile(p.create)
			p.pay()
		}, want: slow},
		{name: "F11 in use, other parameters, mismatch first", cfg: stripesim.Config{MismatchFirst: true}, steps: func(p *play) {
			p.meanwhile(p.create)
			p.pay()
		}, want: []string{"400 | 0", "the first 200", "200 ok replayed | 1"}},
		{name: "F12 not stored", steps: twice(stripesim.Fault{Kind: stripesim.LockTimeout}), want: []string{"429 lock_timeout | 0", "200 ok | 1"}},
		{name: "F12 stored", steps: twice(stripesim.Fault{Kind: stripesim.LockTimeout, Stored: true}), want: []string{"429 lock_timeout | 0", "429 lock_timeout replayed | 0"}},
		{name: "F13 declined", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.Decline, Code: "insufficient_funds"})
			p.pay()
			p.b.Advance(24*time.Hour - time.Minute)
			p.pay()
			p.b.Advance(time.Minute)
			p.pay()
		}, want: []string{"402 card_declined | 0", "402 card_declined replayed | 0", "200 ok | 1"}},
	}
}

// faultsOfStateAndEvents are F14 to F18: what changes between two sends, and what there is to look at afterwards.
func faultsOfStateAndEvents() []referenceRow {
	surfaced := func(p *play) {
		twice(stripesim.Fault{Kind: stripesim.DropAfter})(p)
	}
	return []referenceRow{
		{name: "F14 expired", steps: func(p *play) {
			p.create()
			p.b.Advance(24*time.Hour - time.Minute)
			p.create()
			p.b.Advance(time.Minute)
			p.create()
		}, want: []string{"200 ok | 1", "200 ok replayed | 1", "200 ok | 2"}},
		{name: "F14 pruned late", cfg: stripesim.Config{PruneLate: 24 * time.Hour}, steps: func(p *play) {
			p.create()
			p.b.Advance(24 * time.Hour)
			p.create()
			p.b.Advance(24 * time.Hour)
			p.create()
		}, want: []string{"200 ok | 1", "200 ok replayed | 1", "200 ok | 2"}},
		{name: "F15 revoked before", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.RevokeBefore})
			p.pay()
			p.pay()
			p.rotate()
			p.pay()
		}, want: []string{"401 api_key_expired | 0", "401 api_key_expired | 0", "200 ok | 1"}},
		{name: "F15 revoked after", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.RevokeAfter, FirstByte: true})
			p.pay()
			p.pay()
			p.rotate()
			p.pay()
		}, want: []string{"broken off | 1", "401 api_key_expired | 1", "200 ok replayed | 1"}},
		{name: "F15 revoked after, without a byte", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.RevokeAfter})
			p.pay()
		}, want: []string{"broken off | 1"}, alive: []string{"401 api_key_expired | 1"}},
		{name: "F15 disconnected after", steps: func(p *play) {
			p.authenticate(stripesim.DefaultPlatformKey)
			p.fault(stripesim.Fault{Kind: stripesim.RevokeAfter, FirstByte: true})
			p.payAs(acct)
			p.payAs(acct)
			p.b.Restore(acct)
			p.payAs(acct)
		}, want: []string{"broken off | 1", "403 account_invalid | 1", "200 ok replayed | 1"}},
		{name: "F16 paid by another at once", steps: func(p *play) {
			twice(stripesim.Fault{Kind: stripesim.External, Code: "invoice.pay"})(p)
			p.note("in the ledger", len(p.b.Ledger()))
		}, want: []string{"400 | 0", "400 replayed | 0", "in the ledger 1"}},
		{name: "F16 voided by another between", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.DropBefore, FirstByte: true})
			p.pay()
			p.external("invoice.void", "in_1", "")
			p.pay()
			p.note("in the ledger", len(p.b.Ledger()))
		}, want: []string{"broken off | 0", "400 | 0", "in the ledger 1"}},
		{name: "F16 canceled by another between", steps: func(p *play) {
			p.external("subscription.cancel", "sub_1", "")
			got, err := p.b.send(p.t, http.MethodDelete, "/v1/subscriptions/sub_1", "", "Idempotency-Key", "k")
			if err != nil {
				p.t.Fatal(err)
			}
			p.note("status", got.status)
			p.note("in the ledger", len(p.b.Ledger()))
		}, want: []string{"status 404", "in the ledger 1"}},
		{name: "F17 redirected", steps: twice(stripesim.Fault{Kind: stripesim.Redirect}), want: []string{"redirected | 0", "200 ok | 1"}},
		{name: "F17 slow headers", steps: func(p *play) {
			p.fault(stripesim.Fault{Kind: stripesim.SlowHeaders, Delay: time.Minute})
			p.payUntilStruck(stripesim.SlowHeaders)
			p.pay()
		}, want: []string{"given up | 1", "200 ok replayed | 1"}},
		{name: "F17 idle connection closed", steps: twice(stripesim.Fault{Kind: stripesim.CloseIdle}), want: []string{"200 ok | 1", "200 ok replayed | 1"}},
		{name: "F17 connections not kept", cfg: stripesim.Config{NoKeepAlive: true}, steps: surfaced, want: []string{"broken off | 1", "200 ok replayed | 1"}},
		{name: "F18 delayed", cfg: stripesim.Config{EventLag: time.Hour}, steps: func(p *play) {
			p.pay()
			p.events()
			p.b.Advance(time.Hour)
			p.events()
		}, want: []string{"200 ok | 1", "events 0", "events 4"}},
		{name: "F18 duplicated", cfg: stripesim.Config{EventDuplicates: 1}, steps: func(p *play) {
			p.pay()
			p.events()
		}, want: []string{"200 ok | 1", "events 8"}},
		{name: "F18 dropped", cfg: stripesim.Config{EventDrops: 1}, steps: func(p *play) {
			p.pay()
			p.events()
		}, want: []string{"200 ok | 1", "events 0"}},
		{name: "F18 out of order", cfg: stripesim.Config{EventDisorder: 1}, steps: func(p *play) {
			p.external("invoice.pay", "in_2", "")
			p.pay()
			p.note("newest first", p.newestFirst())
			p.events()
		}, want: []string{"200 ok | 1", "newest first false", "events 4"}},
		{name: "F18 in order", steps: func(p *play) {
			p.external("invoice.pay", "in_2", "")
			p.pay()
			p.note("newest first", p.newestFirst())
		}, want: []string{"200 ok | 1", "newest first true"}},
		{name: "F18 of a DELETE", steps: (*play).cancel, want: []string{"status 200", "events 1"}},
		{name: "F18 of a DELETE, bare", cfg: stripesim.Config{BareDeleteEvents: true}, steps: (*play).cancel, want: []string{"status 200", "events 0"}},
		{name: "F18 found late", cfg: stripesim.Config{SearchLag: time.Minute}, steps: func(p *play) {
			p.create()
			found := func() int {
				return strings.Count(p.b.get(p.t, "/v1/payment_intents/search?query=amount:700").body, `"id":"pi_`)
			}
			p.note("found", found())
			p.b.Advance(time.Minute)
			p.note("found", found())
		}, want: []string{"200 ok | 1", "found 0", "found 1"}},
	}
}

// rotate gives the account another token.
func (p *play) rotate() {
	p.b.Register("sk_test_rotated", acct, false)
	p.authenticate("sk_test_rotated")
}

func (p *play) cancel() {
	got, err := p.b.send(p.t, http.MethodDelete, "/v1/subscriptions/sub_1", "", "Idempotency-Key", "k")
	if err != nil {
		p.t.Fatal(err)
	}
	p.note("status", got.status)
	p.events()
}

// newestFirst reports whether no event of the payment is listed behind those of somebody else's before it.
func (p *play) newestFirst() bool {
	body := p.b.get(p.t, "/v1/events?limit=100").body
	return strings.LastIndex(body, `"idempotency_key":"k"`) < strings.Index(body, `"idempotency_key":"other_`)
}
