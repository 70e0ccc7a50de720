package leaks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mirror stands before the simulator and is more talkative than Stripe: it puts confidential things into every answer, and
// for some invoices it answers by itself, with all that was sent.
type mirror struct {
	t      *testing.T
	c      *canaries
	target string // base URL of the simulator
	server *httptest.Server
	client *http.Client

	mu    sync.Mutex
	seen  map[string]int // answers by behavior; "" for those of the simulator
	heard map[string]int // requests by what stood in Authorization
}

func newMirror(t *testing.T, c *canaries, target string) *mirror {
	t.Helper()
	m := &mirror{
		t: t, c: c, target: target, seen: map[string]int{}, heard: map[string]int{},
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	return m
}

// target is the invoice that is met with a behavior.
func target(behavior string) string { return "in_echo_" + behavior }

// ServeHTTP implements http.Handler.
func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, rest, _ := strings.Cut(r.URL.Path, "/in_echo_")
	behavior, _, _ := strings.Cut(rest, "/")
	if r.Method == http.MethodGet && behavior != "look" {
		behavior = ""
	}
	m.mu.Lock()
	m.seen[behavior]++
	if behavior == "look" && r.Method == http.MethodGet {
		m.seen[looking]++
	}
	m.heard[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]++
	m.mu.Unlock()
	w.Header().Set("Set-Cookie", m.c.text("cookie of Stripe's"))
	w.Header().Set("X-Echo", header(m.everything(r, body)))
	if behavior != "" {
		m.talk(w, r, behavior, m.everything(r, body))
		return
	}
	m.forward(w, r, body)
}

// everything is what an answer could give away: the request, the credential, and what Stripe knows of a customer.
func (m *mirror) everything(r *http.Request, body []byte) string {
	return fmt.Sprintf("%s %s %v %s; %s; %s; %s", r.Method, r.URL, r.Header, body, m.c.of(atStripe),
		m.c.text("payment intent's client secret"), m.c.text("setup intent's client secret"))
}

func header(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, text)
}

// talk answers in place of Stripe.
func (m *mirror) talk(w http.ResponseWriter, r *http.Request, behavior, all string) {
	fail := func(status int, fields map[string]any) {
		details := map[string]any{"type": "invalid_request_error", "message": all, "doc_url": "https://example.com/?" + all}
		maps.Copy(details, fields)
		m.write(w, status, map[string]any{"error": details})
	}
	secrets := map[string]any{ // where identifiers belong
		"code": m.c.text("payment intent's client secret"), "decline_code": m.c.text("setup intent's client secret"),
		"param": m.c.text("access token"), "charge": m.c.text(atStripe + `: card with ""`),
	}
	switch behavior {
	case "garbage":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, all)
	case "html":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<h1>"+all+"</h1>")
	case "redirect":
		w.Header().Set("Location", m.server.URL+"/v1/elsewhere?"+header(strings.ReplaceAll(all, " ", "+")))
		w.WriteHeader(http.StatusFound)
	case "words":
		w.Header().Set("Request-Id", m.c.text("access token"))
		fail(http.StatusBadRequest, secrets)
	case "declined":
		w.Header().Set("Request-Id", m.c.text("payment intent's client secret"))
		maps.Copy(secrets, map[string]any{"type": "card_error", "payment_intent": m.enrich(map[string]any{"object": "payment_intent", "id": "pi_1"})})
		fail(http.StatusPaymentRequired, secrets)
	case "odd": // a success whose identifiers are none
		m.write(w, http.StatusOK, m.enrich(map[string]any{
			"object": m.c.text("access token"), "id": m.c.text("client secret as id"), "status": m.c.text(atStripe + `: card with ""`),
		}))
	case "half", "drop":
		if behavior == "half" {
			w.Header().Set("Content-Length", strconv.Itoa(2*len(all)))
			_, _ = io.WriteString(w, all)
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	case "unauthorized":
		fail(http.StatusUnauthorized, secrets)
	case "forbidden":
		fail(http.StatusForbidden, map[string]any{"code": "account_invalid"})
	case "limited":
		fail(http.StatusTooManyRequests, map[string]any{"code": "rate_limit"})
	case "conflict":
		fail(http.StatusConflict, map[string]any{"type": "idempotency_error"})
	case "error", "look":
		fail(http.StatusInternalServerError, map[string]any{"type": "api_error"})
	default:
		m.t.Errorf("the mirror knows no %q: %s %s", behavior, r.Method, r.URL.Path)
	}
}

// forward hands a request to the simulator, and gives its answer back with more in it.
func (m *mirror) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, m.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding")
	response, err := m.client.Do(request)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range response.Header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	if decoder.Decode(&object) != nil {
		w.WriteHeader(response.StatusCode)
		_, _ = w.Write(answer)
		return
	}
	if details, ok := object["error"].(map[string]any); ok {
		details["message"] = fmt.Sprint(details["message"], " ", m.everything(r, body))
	}
	m.write(w, response.StatusCode, m.enrich(object))
}

// enrich gives every object what it would have at Stripe if a merchant kept careless notes.
func (m *mirror) enrich(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = m.enrich(value[i])
		}
	case map[string]any:
		for name, member := range value {
			value[name] = m.enrich(member)
		}
		if _, ok := value["object"]; ok {
			all := m.c.of(atStripe)
			value["client_secret"] = m.c.text("payment intent's client secret")
			value["next_action"] = map[string]any{"setup_secret": m.c.text("setup intent's client secret")}
			value["customer_email"], value["customer_name"] = m.c.text(atStripe+": e-mail"), m.c.text(atStripe+": person")
			value["description"], value["billing_details"] = all, map[string]any{"email": all, "name": all, "card": all}
			value["failure_message"] = all
		}
	}
	return value
}

func (m *mirror) write(w http.ResponseWriter, status int, document any) {
	encoded, err := json.Marshal(document)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
}

// behaviors are those of talk.
var behaviors = []string{
	"garbage", "html", "redirect", "words", "declined", "odd", "half", "drop", "limited", "conflict", "error", "look",
	"unauthorized", "forbidden",
}

// looking is a look that met with an error.
const looking = "look, at a look"

// count is how often something was answered in the manner of a behavior.
func (m *mirror) count(behavior string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[behavior]
}

// want fails the test unless everything was said and every credential was heard.
func (m *mirror) want(credentials ...string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, behavior := range append(behaviors, "", looking) {
		if m.seen[behavior] == 0 {
			m.t.Errorf("nothing was answered in the manner of %q", behavior)
		}
	}
	for _, name := range credentials {
		if m.heard[m.c.text(name)] == 0 {
			m.t.Errorf("nothing was sent with the %s", name)
		}
	}
}
