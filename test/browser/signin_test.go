package browser_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"billonce/internal/programtest"
)

func signsInAndOut(s *scene) {
	b := newTab(s.t, s.base)
	b.open("/tasks")
	b.at("/sign-in")
	b.signIn(adminKey)
	for _, cookie := range b.cookies() {
		if !cookie.HTTPOnly || !cookie.Secure || cookie.SameSite == network.CookieSameSiteNone || cookie.SameSite == "" {
			s.t.Errorf("the cookie %s can be read by scripts, on the wire or by other sites: %+v", cookie.Name, cookie)
		}
		if strings.Contains(cookie.Value, adminKey) {
			s.t.Error("the browser keeps the key")
		}
	}
	// htmx notes the address of the page for the tab; else there is nothing that a script could read.
	kept := read[string](b, `sessionStorage.removeItem('htmx-current-path-for-history'), document.cookie + JSON.stringify({...localStorage, ...sessionStorage})`)
	if kept != "{}" {
		s.t.Errorf("scripts can read what the browser keeps: %s", kept)
	}
	b.open("/tasks")
	b.at("/tasks")
	b.click(`form[action="/sign-out"] button`)
	b.at("/sign-in")
	for _, path := range []string{"/", "/tasks", "/merchants/" + s.merchant} {
		b.open(path)
		b.at("/sign-in")
	}
}

// cookies are those that the window sends to the console.
func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	answer, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{b.base}})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(answer.Cookies) == 0 {
		b.t.Error("the browser has no cookie")
	}
	return answer.Cookies
}

func signInLeadsOn(s *scene) {
	task := s.pending()
	b := newTab(s.t, s.base)
	b.open("/tasks/" + task)
	b.at("/sign-in")
	b.fill("key", adminKey)
	b.send()
	b.at("/tasks/" + task)
	b.sees(s.account[5:13])
	// It leads to pages of this console alone.
	for _, elsewhere := range []string{"https://example.com/", "//example.com/", `/\example.com/`, "javascript:alert(1)"} {
		b := newTab(s.t, s.base)
		b.open("/sign-in?next=" + strings.ReplaceAll(elsewhere, `\`, "%5C"))
		b.fill("key", adminKey)
		b.send()
		b.at("/")
	}
}

// TestWrongKeys has an installation of its own: after a few of them its address has to wait, whoever comes from there.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	s := newWorld(t, programtest.Spawn).scene(t)
	inside := s.tab(adminKey)
	revoked, keyID := s.key(object{"scopes": []string{"tasks:read"}})
	s.c.Must(200, "POST", "/v1/api_keys/"+keyID+"/revoke", nil)
	b := newTab(t, s.base)
	b.forgive(http.StatusUnauthorized, http.StatusTooManyRequests)
	b.open("/sign-in")
	for _, wrong := range []string{"nonsense", adminKey + "x", revoked, "bo_live_" + strings.Repeat("a", 49)} {
		b.fill("key", wrong)
		b.send()
		b.until("the page says that the key is wrong", `document.readyState === 'complete' && document.querySelector('[role=alert]') && document.querySelector('[name=key]').value === ''`)
		b.answered(http.StatusUnauthorized)
		b.at("/sign-in")
		b.lacks(wrong)
	}
	b.accessible("a wrong key")
	// Programs are quicker than people, for whom most of it would be forgiven meanwhile; one try may be even so.
	b.wait("the page says that its address has to wait", func() bool {
		b.fill("key", adminKey+"z")
		for range 60 {
			(&programtest.Client{T: t, Base: s.base, Key: adminKey + "y"}).Do("GET", "/v1/me", nil)
		}
		b.send()
		b.until("it is answered", `document.readyState === 'complete' && document.querySelector('[role=alert]') && document.querySelector('[name=key]').value === ''`)
		return strings.Contains(b.text(), "Wait")
	})
	b.answered(http.StatusTooManyRequests)
	b.open("/tasks")
	b.at("/sign-in")
	// Who has signed in before goes on.
	inside.open("/tasks")
	inside.at("/tasks")
}

func revokedKey(s *scene) {
	key, keyID := s.key(object{"scopes": []string{"tasks:read"}})
	b := s.tab(key)
	b.open("/tasks")
	b.at("/tasks")
	b.forgive(401) // a page may come just before the key ends, and ask for its events just after
	s.c.Must(200, "POST", "/v1/api_keys/"+keyID+"/revoke", nil)
	b.wait("the session ends", func() bool { // within the seconds for which a key is believed
		b.open("/tasks")
		return strings.HasPrefix(b.where(), "/sign-in")
	})
}

func afterSigningOut(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.open("/tasks/" + task)
	b.sees(task)
	b.forgive(401) // the page may ask for what is new between the end of the session and the next page
	b.click(`form[action="/sign-out"] button`)
	b.at("/sign-in")
	b.back()
	b.at("/sign-in")
	b.lacks(task + "/cancel")
}
