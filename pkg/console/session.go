package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

const (
	cookieName = "__Host-billonce"
	tokenBytes = 32
	maxKey     = 4096 // bytes of what is taken for a key
)

// visit is one request of somebody, with as whom the API is called for it.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // calls under it are the visitor's
	me      client.Me
	section string            // of the navigation
	share   func(part []byte) // where others wait for the part of a page that this visit makes
}

// may reports whether the visitor's key allows all of something.
func (v *visit) may(wanted ...billing.Scope) bool {
	for _, scope := range wanted {
		if !slices.Contains(v.me.Scopes, scope) && !slices.Contains(v.me.Scopes, billing.ScopeAdmin) {
			return false
		}
	}
	return v.signedIn()
}

// seesAll reports whether the visitor's key is for all merchants.
func (v *visit) seesAll() bool { return v.me.MerchantID == nil }

func (v *visit) signedIn() bool { return v.ctx != nil }

// live reports whether a script asks for the part of the page that changes, and not for all of it.
func (v *visit) live() bool { return v.r.Header.Get("HX-Request") == "true" }

// streams reports whether events are asked for.
func (v *visit) streams() bool { return v.r.URL.Path == eventsPath }

// byItself reports whether a page asks of itself: that one is open is no sign that anybody is there, and uses no session.
func (v *visit) byItself() bool { return v.live() || v.streams() }

// signedIn lets those to a page who have a session with a key that allows it.
func (c *Console) signedIn(to page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r}
		err := c.enter(v)
		if errors.Is(err, errNoSession) {
			c.sendToSignIn(v)
			return
		}
		if err == nil && (!v.may(to.scopes...) || to.all && !v.seesAll()) {
			err = &fault{status: http.StatusForbidden, title: "Your key does not allow this", text: "Sign in with a key that does: " + needs(to)}
		}
		switch {
		case err != nil:
		case to.live && v.live() && r.Method == http.MethodGet:
			err = c.showPart(v, to)
		default:
			err = to.handle(c, v)
		}
		if err != nil {
			c.showFault(v, err)
		}
	})
}

func needs(to page) string {
	names := make([]string, len(to.scopes))
	for i, scope := range to.scopes {
		names[i] = string(scope)
	}
	text := "it needs " + strings.Join(names, " and ")
	if to.all {
		text += ", for all merchants"
	}
	return text + "."
}

var errNoSession = errors.New("nobody is signed in")

// enter finds out who asks. The error is errNoSession where nobody is signed in any more.
func (c *Console) enter(v *visit) error {
	token, ok := tokenOf(v.r)
	if !ok {
		return errNoSession
	}
	within, cancel := context.WithTimeout(v.r.Context(), pageTimeout) // events are not bounded otherwise
	defer cancel()
	find := c.deps.Sessions.UseSession
	if v.byItself() {
		find = c.deps.Sessions.FindSession
	}
	session, err := c.findSession(within, v.r, token, find)
	if err != nil {
		return err
	}
	if session.KeyID == "" && (c.deps.AdminKey.Empty() || !hmac.Equal(session.Check, c.checkOf(token))) {
		return errNoSession
	}
	ctx := c.deps.As(v.r.Context(), session)
	me, err := c.api.GetMe(ctx)
	if codeOf(err) == billing.CodeUnauthenticated {
		return errNoSession
	}
	if err != nil {
		return err
	}
	v.ctx, v.me = ctx, me
	return nil
}

// checkOf ties a session to the admin key. Nobody can check a guess of that key who has not what the browser has.
func (c *Console) checkOf(token []byte) []byte {
	mac := hmac.New(sha256.New, token)
	_, _ = mac.Write([]byte("billonce console, ADMIN_API_KEY: " + c.deps.AdminKey.Reveal())) // never fails
	return mac.Sum(nil)
}

func tokenOf(r *http.Request) ([]byte, bool) {
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 {
		return nil, false
	}
	token, err := base64.RawURLEncoding.Strict().DecodeString(cookies[0].Value)
	return token, err == nil && len(token) == tokenBytes
}

// sendToSignIn sends a browser to the sign-in page, and back afterwards.
func (c *Console) sendToSignIn(v *visit) {
	target := "/sign-in"
	query := url.Values{}
	if v.r.URL.Query().Has("welcome") {
		query.Set("lost", "1") // it has just signed in, and shows no cookie
	} else if back := v.r.URL.RequestURI(); back != "/" && (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead) {
		query.Set("next", back)
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	switch {
	case v.live():
		v.w.Header().Set("HX-Redirect", "/sign-in")
		v.w.WriteHeader(http.StatusUnauthorized)
	case v.streams():
		v.w.WriteHeader(http.StatusUnauthorized)
	default:
		redirect(v, target)
	}
}

// signInPage shows the form to whoever is not signed in.
func (c *Console) signInPage(w http.ResponseWriter, r *http.Request) {
	v := &visit{w: w, r: r}
	if c.enter(v) == nil {
		redirect(v, "/")
		return
	}
	*v = visit{w: w, r: r}
	view := signInView{Next: localPath(r.URL.Query().Get("next"))}
	if r.URL.Query().Has("lost") {
		view.Trouble = "The browser did not keep the session. It does so only over HTTPS, or from this machine itself, and with cookies allowed."
	}
	c.show(v, http.StatusOK, "sign-in", "Sign in", view)
}

type signInView struct {
	Next    string
	Trouble string
}

// signIn opens a session for a key that the API accepts.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	v := &visit{w: w, r: r}
	form, err := formOf(r)
	if err != nil {
		c.showFault(v, err)
		return
	}
	next := localPath(form.Get("next"))
	session, err := c.present(r, strings.TrimSpace(form.Get("key")))
	if err == nil {
		err = c.open(v, session)
	}
	switch code := codeOf(err); {
	case err == nil:
		target, _ := url.Parse(next) // localPath has read it
		query := target.Query()
		query.Set("welcome", "1")
		target.RawQuery = query.Encode()
		redirect(v, target.String())
	case code == billing.CodeUnauthenticated:
		c.show(v, http.StatusUnauthorized, "sign-in", "Sign in", signInView{Next: next, Trouble: "This is no key that is in use. Nothing says what is wrong with it."})
	case code == billing.CodeRateLimited:
		if problem := (*client.Problem)(nil); errors.As(err, &problem) && problem.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(problem.RetryAfter.Seconds())))
		}
		c.show(v, http.StatusTooManyRequests, "sign-in", "Sign in", signInView{
			Next: next, Trouble: "Too many wrong keys came from your address. Wait a minute.",
		})
	default:
		c.showFault(v, err)
	}
}

// present asks the API who has a key, as any client would: wrong ones are counted there.
func (c *Console) present(r *http.Request, key string) (billing.Session, error) {
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return billing.Session{}, &billing.Error{Code: billing.CodeUnauthenticated}
	}
	api, err := client.New(base, secret.New(key), client.Through(c.deps.API))
	if err != nil {
		return billing.Session{}, err
	}
	me, err := api.GetMe(r.Context())
	if err != nil {
		return billing.Session{}, err
	}
	if me.ID == nil {
		return billing.Session{}, nil
	}
	return billing.Session{KeyID: billing.APIKeyID(*me.ID)}, nil
}

// open keeps a session and gives the browser what it needs of it. One that it had before ends.
func (c *Console) open(v *visit, session billing.Session) error {
	token := make([]byte, tokenBytes)
	_, _ = rand.Read(token) // never fails since Go 1.24
	if session.KeyID == "" {
		session.Check = c.checkOf(token)
	}
	ctx, hash := asActor(v.r.Context(), session), sha256.Sum256(token)
	if err := c.deps.Sessions.OpenSession(ctx, hash, session); err != nil {
		return err
	}
	c.known.add(hash, time.Now())
	c.log.InfoContext(ctx, "signed in to the console", slog.String("actor", session.Actor()))
	if old, ok := tokenOf(v.r); ok {
		if err := c.end(v, old); err != nil {
			c.log.WarnContext(ctx, "an older session goes on until its end", slog.Any("error", err))
		}
	}
	c.setCookie(v.w, base64.RawURLEncoding.EncodeToString(token), int(billing.SessionLength.Seconds()))
	return nil
}

// end closes a session as its own actor.
func (c *Console) end(v *visit, token []byte) error {
	session, err := c.findSession(v.r.Context(), v.r, token, c.deps.Sessions.FindSession)
	if errors.Is(err, errNoSession) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.deps.Sessions.CloseSession(asActor(v.r.Context(), session), sha256.Sum256(token))
}

// signOut ends the session here and in the browser.
func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	v := &visit{w: w, r: r}
	if token, ok := tokenOf(r); ok {
		if err := c.end(v, token); err != nil {
			c.showFault(v, err)
			return
		}
	}
	c.setCookie(w, "", -1)
	redirect(v, "/sign-in")
}

func (*Console) setCookie(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// asActor says who does something for which there is no route of the API.
func asActor(ctx context.Context, session billing.Session) context.Context {
	from, _ := billing.ActorOf(ctx)
	from.ID = session.Actor()
	return billing.WithActor(ctx, from)
}

// redirect sends the browser to another page of the console, which it asks for with GET.
func redirect(v *visit, target string) {
	http.Redirect(v.w, v.r, target, http.StatusSeeOther) //nolint:gosec // made by us, or a path that localPath has read
}

// localPath returns a path of the console, with its query, and "/" for anything else: nobody is sent to another site.
func localPath(text string) string {
	target, err := url.Parse(text)
	if err != nil || target.Scheme != "" || target.Host != "" || target.User != nil || target.Opaque != "" ||
		!strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	target.Fragment, target.RawFragment = "", ""
	if path := target.String(); !strings.HasPrefix(path, "//") { // as an escaped slash may have been written anew
		return path
	}
	return "/"
}
