package app_test

import (
	"testing"

	"billonce/internal/kindtest"
	"billonce/pkg/billing"
)

// TestEveryKind carries out each kind of the contract through the real services, once with the merchant's token and once
// with the platform's key, and counts one effect for each.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api("ALLOW_PAYOUTS", "true")
	s.worker("ALLOW_PAYOUTS", "true")
	for name, mode := range map[string]struct{ account, token string }{
		"WithTheMerchantsToken": {"acct_token", "sk_test_acct_token"}, "WithThePlatformsKey": {"acct_platform", ""},
	} {
		merchant := map[string]any{"name": name, "stripe_connect_id": mode.account}
		if mode.token != "" {
			merchant["access_token"] = mode.token
		}
		id := idOf(c.Must(201, "POST", "/v1/merchants", merchant))
		a := s.simulator().Do("POST", "/_sim/fixtures", map[string]any{"account": mode.account, "objects": kindtest.Fixtures()})
		if a.Status >= 300 {
			t.Fatalf("fixtures: %d %v", a.Status, a.Body)
		}
		for _, kind := range billing.Kinds() {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				task, ok := kindtest.Samples()[kind]
				if !ok {
					t.Fatal("no sample")
				}
				body := map[string]any{"merchant_id": id, "kind": kind, "max_attempts": 3}
				if task.Target != "" {
					body["target"] = task.Target
				}
				if task.Params != nil {
					body["params"] = task.Params
				}
				c := newClient(t, c.Base, adminKey)
				created := idOf(c.Must(201, "POST", "/v1/tasks", body))
				done := c.Await(created, "succeeded", "failed", "in_doubt")
				if done["status"] != "succeeded" {
					t.Fatalf("%v", done)
				}
				result, _ := done["result"].(map[string]any)
				if result["object"] != task.Type || result["id"] == "" || result["request_id"] == "" {
					t.Errorf("result %v", result)
				}
				if n := s.effects()["task_"+created]; n != 1 {
					t.Errorf("%d effects", n)
				}
			})
		}
	}
}
