package stripesim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// caller is on whose behalf a request comes, and how it says so.
type caller struct {
	tenant
	mode  string
	token string
}

const platformAccount = "acct_platform"

// Register makes a token known as the account's. Tokens of the form sk_test_acct_X and sk_live_acct_X need none: they are
// known as those of acct_X.
func (s *Simulator) Register(token, account string, livemode bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = tenant{account, livemode}
	delete(s.expired, token)
}

// Revoke disconnects the account from the platform: its tokens answer 401, the platform's key 403.
func (s *Simulator) Revoke(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[account] = true
}

// Restore undoes [Simulator.Revoke].
func (s *Simulator) Restore(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.revoked, account)
}

// RevokeToken makes one token answer 401, as if it had been rotated. Registering it again undoes that.
func (s *Simulator) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired[token] = true
}

// revokeUsed revokes what the request authenticated with. The caller holds s.mu.
func (s *Simulator) revokeUsed(who caller) {
	switch who.mode {
	case AuthToken:
		s.expired[who.token] = true
	case AuthPlatformAccount:
		s.revoked[who.account] = true
	}
}

// identify reads the credentials without judging them. The caller holds s.mu.
func (s *Simulator) identify(r *http.Request) caller {
	who := caller{token: bearer(r)}
	named := r.Header.Get("Stripe-Account")
	switch {
	case who.token == "":
	case who.token == s.cfg.PlatformKey:
		who.mode, who.account = AuthPlatform, platformAccount
		who.live = strings.HasPrefix(who.token, "sk_live_")
		if named != "" {
			who.mode, who.account = AuthPlatformAccount, named
		}
	default:
		if owner, ok := s.ownerOf(who.token); ok {
			who.mode, who.tenant = AuthToken, owner
		}
	}
	return who
}

func (s *Simulator) ownerOf(token string) (tenant, bool) {
	if owner, ok := s.tokens[token]; ok {
		return owner, true
	}
	if rest, ok := strings.CutPrefix(token, "sk_test_"); ok && accountID(rest) {
		return tenant{rest, false}, true
	}
	if rest, ok := strings.CutPrefix(token, "sk_live_"); ok && accountID(rest) {
		return tenant{rest, true}, true
	}
	return tenant{}, false
}

// bearer is the secret key: a bearer token, or the user name of basic authentication, as curl -u sends it.
func bearer(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return strings.TrimSpace(token)
	}
	user, _, _ := r.BasicAuth()
	return user
}

// authenticate judges the credentials. What it refuses never reaches the keys. The caller holds s.mu.
func (s *Simulator) authenticate(who caller, named string) *refusal {
	unauthorized := func(code, format string, args ...any) *refusal {
		r := invalid(code, "", format, args...)
		r.status = http.StatusUnauthorized
		return r
	}
	switch {
	case who.token == "":
		return unauthorized("", "You did not provide an API key. You need to provide your API key in the Authorization header, "+
			"using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	case who.mode == "":
		return unauthorized("", "Invalid API Key provided: %s", redact(who.token))
	case s.expired[who.token], who.mode == AuthToken && s.revoked[who.account]:
		return unauthorized("api_key_expired", "Expired API Key provided: %s", redact(who.token))
	}
	foreign := who.mode == AuthToken && named != "" && named != who.account
	unknown := who.mode == AuthPlatformAccount && (s.revoked[who.account] || !accountID(who.account))
	if foreign || unknown {
		r := invalid("account_invalid", "", "The provided key '%s' does not have access to account '%s' (or that account does not "+
			"exist). Application access may have been revoked.", redact(who.token), named)
		r.status = http.StatusForbidden
		return r
	}
	return nil
}

// redact shows of a token what Stripe shows: its kind and its last four characters.
func redact(token string) string {
	const shown = 4
	if len(token) < len("sk_test_")+shown {
		return strings.Repeat("*", len(token))
	}
	return token[:len("sk_test_")] + strings.Repeat("*", len(token)-len("sk_test_")-shown) + token[len(token)-shown:]
}

// fingerprint tells two tokens apart without showing them.
func fingerprint(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:4])
}

func rateLimited() *refusal {
	r := invalid("rate_limit", "", "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.")
	r.status, r.reason = http.StatusTooManyRequests, "global-rate"
	return r
}

// tooFast counts the tenant's calls in this second, and reports whether there are more than [Config.RateLimit], if that is for its
// account. The caller holds s.mu.
func (s *Simulator) tooFast(who tenant) bool {
	if only := s.switches.LimitFor; s.switches.RateLimit == 0 || only != "" && only != who.account {
		return false
	}
	if second := s.now().Unix(); second != s.second {
		s.second = second
		clear(s.served)
	}
	s.served[who]++
	return s.served[who] > s.switches.RateLimit
}

// inject is a refusal that the script asks for.
func inject(f *Fault) *refusal {
	switch f.Status {
	case http.StatusUnauthorized:
		r := invalid(f.Code, "", "Invalid API Key provided.")
		r.status = f.Status
		return r
	case http.StatusForbidden:
		r := invalid(f.Code, "", "The provided key does not have access to this account.")
		if r.status = f.Status; f.Code == "" {
			r.details.Code = "account_invalid"
		}
		return r
	case 0, http.StatusTooManyRequests:
		return rateLimited()
	}
	r := invalid(f.Code, "", "%s", fmt.Sprint("injected ", f.Status))
	r.status = f.Status
	return r
}
