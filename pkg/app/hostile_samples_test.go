package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"billonce/pkg/httpapi"
)

// sample is how a route is used rightly: what the wrong requests are made from.
type sample struct {
	status int      // of the answer
	body   string   // "" where the route takes no fields; MERCHANT is one's id, and 0000 a number that comes only once
	query  []string // the parameters that the route knows
	bare   bool     // the body may be left out
}

const (
	sampleTask = `{"merchant_id":"MERCHANT","kind":"subscription.update","target":"sub_0000",` +
		`"params":{"items":[{"price":"price_1","quantity":2}],"metadata":{"order":"6735"},"cancel_at_period_end":false},` +
		`"run_at":"2030-01-31T09:00:00Z","max_attempts":7,"metadata":{"a":"b"},"intent":"intent-0000"` +
		`,"on_decline":{"retry_after":["24h","72h"],"stop_codes":["lost_card"]}%s}`
	// It moves nothing that another request is about: no task has this target.
	sampleBulk = `{"action":"reschedule","filter":{"status":"pending,running","merchant_id":"MERCHANT","kind":"subscription.update","target":"sub_none_0000",` +
		`"from":"2029-01-01T00:00:00Z","to":"2032-01-01T00:00:00Z","created_before":"2036-01-01T00:00:00Z"},"run_at":"2031-01-31T09:00:00Z",` +
		`"reason":"asked for","dry_run":false,"limit":7,"cursor":null}`
	sampleReason   = `{"reason":"asked for"}`
	sampleMerchant = `{"name":"Acme","stripe_connect_id":"acct_0000","access_token":"sk_test_0000","refresh_token":"rt_0000","livemode":false}`
)

var (
	listQuery   = []string{"limit", "cursor"}
	filterQuery = []string{"merchant_id", "kind", "target", "from", "to", "attention", "retry_of", "q"}

	// samples has a line for every route; TestHostileRequests fails for a route that has none.
	samples = map[string]sample{
		"POST /v1/merchants":             {status: 201, body: sampleMerchant},
		"GET /v1/merchants":              {status: 200, query: append([]string{"stripe_connect_id", "status"}, listQuery...)},
		"GET /v1/merchants/{id}":         {status: 200},
		"PATCH /v1/merchants/{id}":       {status: 200, body: `{"name":"New name","access_token":"sk_test_0000","refresh_token":"rt_0000"}`},
		"DELETE /v1/merchants/{id}":      {status: 200},
		"POST /v1/merchants/{id}/pause":  {status: 200, body: sampleReason, bare: true},
		"POST /v1/merchants/{id}/resume": {status: 200, body: sampleReason, bare: true},

		"POST /v1/tasks":                 {status: 201, body: fmt.Sprintf(sampleTask, "")},
		"POST /v1/tasks/batch":           {status: 201, body: `{"tasks":[` + fmt.Sprintf(sampleTask, `,"idempotency_key":"key-0000"`) + `]}`},
		"GET /v1/tasks":                  {status: 200, query: append(append([]string{"status"}, filterQuery...), listQuery...)},
		"GET /v1/tasks/counts":           {status: 200, query: filterQuery},
		"POST /v1/tasks/bulk":            {status: 200, body: sampleBulk},
		"GET /v1/tasks/{id}":             {status: 200},
		"GET /v1/tasks/{id}/attempts":    {status: 200, query: listQuery},
		"GET /v1/tasks/{id}/chain":       {status: 200},
		"POST /v1/tasks/{id}/cancel":     {status: 200, body: sampleReason, bare: true},
		"POST /v1/tasks/{id}/reschedule": {status: 200, body: `{"run_at":"2031-01-31T09:00:00.5+02:00","reason":"later"}`},
		"POST /v1/tasks/{id}/retry":      {status: 409, body: sampleReason, bare: true}, // the task is pending
		"POST /v1/tasks/{id}/resolve":    {status: 409, body: `{"outcome":"failed","note":"Looked at Stripe: there is none."}`},

		"GET /v1/me":         {status: 200},
		"GET /v1/overview":   {status: 200},
		"GET /v1/workers":    {status: 200},
		"GET /v1/encryption": {status: 200},
		"GET /v1/events":     {status: 200, query: []string{"after", "merchant_id", "status", "kind"}},

		"POST /v1/api_keys":             {status: 201, body: `{"name":"Clerk","scopes":["tasks:read"],"merchant_id":"MERCHANT","expires_at":"2030-01-31T09:00:00Z"}`},
		"GET /v1/api_keys":              {status: 200, query: append([]string{"merchant_id"}, listQuery...)},
		"GET /v1/api_keys/{id}":         {status: 200},
		"DELETE /v1/api_keys/{id}":      {status: 200},
		"POST /v1/api_keys/{id}/revoke": {status: 200},
		"POST /v1/api_keys/{id}/rotate": {status: 201, body: `{"expires_at":"2030-01-31T09:00:00Z"}`},
		"GET /v1/audit":                 {status: 200, query: append([]string{"object", "actor", "action", "from", "to"}, listQuery...)},

		"GET /healthz": {status: 200},
		"GET /livez":   {status: 200},
		"GET /readyz":  {status: 200},

		"GET /openapi.yaml": {status: 200},
		"GET /docs":         {status: 200},
	}
)

// place is a route with what a right request to it has.
type place struct {
	httpapi.Route
	sample
	path string // with the id of an object of its own
	open bool   // needs no key
}

func (p place) name() string { return p.Method + " " + p.Path }

// generator makes hostile requests from the routes.
type generator struct {
	t      *testing.T
	api    *client
	random *rand.Rand
	places []place
	serial int
	made   []hostile
	// merchant is whom tasks are for. unknown is the id of nothing.
	merchant, unknown string
}

// newGenerator makes an object for each route that has one in its path, and sends each sample once as it is.
func newGenerator(t *testing.T, api *client, routes []httpapi.Route, seed uint64) *generator {
	t.Helper()
	g := &generator{t: t, api: api, random: rand.New(rand.NewPCG(seed, 0)), unknown: "0192f5a0-7b1c-7def-8a2b-0123456789ab"}
	g.merchant = idOf(api.Must(201, "POST", "/v1/merchants", g.document(sampleMerchant)))
	for _, route := range routes {
		s, ok := samples[route.Method+" "+route.Path]
		if !ok {
			t.Errorf("samples has no line for %s %s", route.Method, route.Path)
			s.status = http.StatusNotFound
		}
		p := place{Route: route, sample: s, path: strings.Replace(route.Path, "{id}", g.object(route.Path), 1), open: !strings.HasPrefix(route.Path, "/v1/")}
		a := api.Do(p.Method, p.path, g.document(p.body))
		if a.Status != p.status {
			t.Errorf("the sample of %s is answered %d: %v", p.name(), a.Status, a.Body)
		}
		g.places = append(g.places, p)
	}
	return g
}

// object makes what the {id} of a path stands for, and returns its id.
func (g *generator) object(path string) string {
	g.t.Helper()
	collection, _, found := strings.Cut(path, "/{id}")
	if !found {
		return ""
	}
	return idOf(g.api.Must(201, "POST", collection, g.document(samples["POST "+collection].body)))
}

// fill puts ids and a new number into a sample.
func (g *generator) fill(text string) string {
	g.serial++
	return strings.NewReplacer("MERCHANT", g.merchant, "0000", fmt.Sprintf("0%06d", g.serial)).Replace(text)
}

func (g *generator) document(text string) any {
	if text == "" {
		return nil
	}
	return json.RawMessage(g.fill(text))
}

// canary returns a text that no other request has.
func (g *generator) canary() string {
	g.serial++
	return fmt.Sprintf("canary%06dx", g.serial)
}

// add keeps a request. CANARY, wherever it stands in the message, becomes a text that no other request has.
func (g *generator) add(h hostile, m message) {
	canary := g.canary()
	put := func(text string) string {
		if strings.Contains(text, "CANARY") {
			h.canary = canary
		}
		return strings.ReplaceAll(text, "CANARY", canary)
	}
	m.method, m.target, m.body = put(m.method), put(m.target), put(m.body)
	for i, line := range m.headers {
		m.headers[i] = put(line)
	}
	h.raw, h.method = m.bytes(), m.method
	g.made = append(g.made, h)
}

func (g *generator) everything() []hostile {
	for _, p := range g.places {
		g.methods(p)
		g.keys(p)
		g.headers(p)
		g.queries(p)
		g.bodies(p)
		g.broken(p)
		g.framing(p)
		if strings.Contains(p.Path, "{id}") {
			g.paths(p)
		}
	}
	g.mutations(1000)
	g.random.Shuffle(len(g.made), func(i, j int) { g.made[i], g.made[j] = g.made[j], g.made[i] })
	return g.made
}
