package app_test

import (
	"strings"
	"testing"

	"billonce/pkg/store/storetest"
)

// TestNeedsAttention: the page shows what is overdue, in doubt or paused in the real database, and nothing of what goes its way; the
// overview counts the same.
func TestNeedsAttention(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	well, paused := s.anyone(), s.anyone()
	s.Must(200, "POST", "/v1/merchants/"+paused+"/pause", map[string]any{"reason": "asked for"})
	later, overdue, doubted, waits := s.schedule(s.client, s.anyone()), s.schedule(s.client, s.anyone()), s.schedule(s.client, s.anyone()), s.schedule(s.client, s.anyone())
	for id, set := range map[string]string{
		overdue: `run_at = now() - interval '10 minutes'`,
		waits:   `run_at = now() - interval '10 minutes', waiting_since = now()`, // for another one, which is a reason
		doubted: `status = 'in_doubt', first_sent_at = now(), sent_auth = 'token', sent_account = 'acct_1', attempt = 1`,
	} {
		s.db.SQL.MustExec(`UPDATE scheduled_tasks SET `+set+` WHERE id = $1`, id)
	}
	page := newPerson(t, s.Base).signIn(adminKey).get("/attention").body
	for id, wanted := range map[string]bool{overdue: true, doubted: true, paused: true, later: false, waits: false, well: false} {
		if shown := strings.Contains(page, `s/`+id+`"`); shown != wanted {
			t.Errorf("%s is shown: %t, want %t\n%s", id, shown, wanted, page)
		}
	}
	attention, _ := s.Must(200, "GET", "/v1/overview", nil)["attention"].(map[string]any)
	for what, want := range map[string]float64{"in_doubt": 1, "overdue": 1, "paused_merchants": 1} {
		if attention[what] != want {
			t.Errorf("the overview has %v %s, want %v", attention[what], what, want)
		}
	}
}
