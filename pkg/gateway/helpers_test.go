package gateway_test

import (
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/secret"
)

func open(t *testing.T, config gateway.Config) *gateway.Gateway {
	t.Helper()
	opened, err := gateway.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func tokenCredential() billing.Credential {
	return billing.Credential{Auth: billing.AuthToken, Token: secret.New("sk_test_1"), Account: "acct_1"}
}

func claimOf(kind billing.Kind, request billing.Request) billing.Claim {
	hash := request.Hash()
	now := time.Now()
	return billing.Claim{ID: taskID, Kind: kind, Request: request, RequestHash: hash[:], ScheduledFor: now, ClaimedAt: now}
}

func frozen(t *testing.T, kind billing.Kind, target, params string) billing.Claim {
	t.Helper()
	request, err := gateway.NewFreezer(true).Freeze(taskID, kind, target, []byte(params))
	if err != nil {
		t.Fatal(billing.FaultsOf(err))
	}
	claim := claimOf(kind, request)
	claim.Target = target
	return claim
}
