package protocol_test

import (
	"slices"
	"strings"
	"testing"

	"billonce/internal/protocol"
)

// TestTheProtocolHolds visits every state under all rules.
func TestTheProtocolHolds(t *testing.T) {
	t.Parallel()
	got := protocol.Explore(protocol.AllRules(), "")
	t.Logf("%d states", got.States)
	tell(t.Errorf, got)
	if got.States < 20_000 {
		t.Errorf("%d states: the model has lost most of its steps", got.States)
	}
}

// TestTheLeaseIsNotNeeded shows what the lease is for: it spares sends, and nothing rests on it. A worker that was declared dead
// while it lives may send as it likes, because its key is the task's and its writes are fenced.
func TestTheLeaseIsNotNeeded(t *testing.T) {
	t.Parallel()
	rules := protocol.AllRules()
	rules.Lease = false
	tell(t.Errorf, protocol.Explore(rules, ""))
}

// TestEachRuleIsNeeded takes away one rule at a time, and names a lie that comes of it.
func TestEachRuleIsNeeded(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		take func(*protocol.Rules)
		lie  string
	}{
		{"Fencing", func(r *protocol.Rules) { r.Fencing = false }, "failed with an effect"},
		{"Window", func(r *protocol.Rules) { r.Window = false }, "two effects"},
		{"StickyUnknown", func(r *protocol.Rules) { r.Sticky = false }, "failed with an effect"},
		{"OneKey", func(r *protocol.Rules) { r.OneKey = false }, "two effects"},
		{"FirstSentAtBeforeTheFirstByte", func(r *protocol.Rules) { r.SentFirst = false }, "canceled with an effect"},
		{"LateAbsence", func(r *protocol.Rules) { r.LateAbsence = false }, "failed with an effect"},
		{"WholeReads", func(r *protocol.Rules) { r.Whole = false }, "failed with an effect"},
		{"AnotherIsExplained", func(r *protocol.Rules) { r.Explained = false }, "failed with an effect"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rules := protocol.AllRules()
			tc.take(&rules)
			got := protocol.Explore(rules, tc.lie)
			tell(t.Logf, got)
			if !slices.ContainsFunc(got.Lies, func(lie protocol.Lie) bool { return lie.What == tc.lie }) {
				t.Errorf("without the rule, %d states hold no task that %s", got.States, tc.lie)
			}
		})
	}
}

func tell(say func(string, ...any), got protocol.Report) {
	for _, lie := range got.Lies {
		say("%s:\n  %s", lie.What, strings.Join(lie.Way, "\n  "))
	}
	if got.Stuck > 0 {
		say("from %d of %d states no end can be reached", got.Stuck, got.States)
	}
}
