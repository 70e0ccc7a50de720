package app_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// nowhere is the path of a route for an object that does not exist.
func (g *generator) nowhere(p place) string { return strings.Replace(p.Path, "{id}", g.unknown, 1) }

// methods tries the route's path with every method but those that have a route.
func (g *generator) methods(p place) {
	for _, method := range []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "Post", "M-SEARCH",
		strings.Repeat("X", 300), "CANARY", "G\x00ET", "GE T", "", "POST\t", "PRI", "GET:", "\xff\xfe",
	} {
		routed := slices.ContainsFunc(g.places, func(other place) bool { return other.Path == p.Path && other.Method == method })
		if routed || method == http.MethodHead {
			continue
		}
		m := message{method: method, target: g.nowhere(p)}
		odd := strings.ContainsAny(method, "\x00 \t:") || strings.HasPrefix(method, "\xff") || method == "" || method == "CONNECT" || method == "PRI"
		g.add(hostile{name: fmt.Sprintf("method %q %s", method, p.Path), refused: method != "OPTIONS", wire: odd}, m)
		m.headers = []string{"X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE"}
		g.add(hostile{name: fmt.Sprintf("overridden method %q %s", method, p.Path), refused: method != "OPTIONS", wire: odd}, m)
	}
}

// keys tries the route with every wrong way to show a key.
func (g *generator) keys(p place) {
	if p.open {
		return
	}
	for _, lines := range [][]string{
		{"Authorization:"},
		{"Authorization: Bearer"},
		{"Authorization: Bearer CANARY"},
		{"Authorization: Bearer " + adminKey + "CANARY"},
		{"Authorization: " + adminKey},
		{"Authorization: Basic CANARY"},
		{"Authorization: Bearer\t" + adminKey},
		{"Authorization: Bearer " + strings.ToUpper(adminKey)},
		{"Authorization: Bearer " + adminKey + ", Bearer " + adminKey},
		{"Authorization: Bearer " + adminKey, "Authorization: Bearer CANARY"},
		{"Authorization: Bearer " + adminKey + "\x00"},
		{"Authorization: Bearer " + adminKey[:len(adminKey)-1]},
		{"Authorization: Bearer bo_live_" + strings.Repeat("CANARY", 7)},
		{"Authorization: Bearer " + strings.Repeat("CANARY", 500)},
		{"Authorization: Bearer \xff\xfeCANARY"},
		{"X-Api-Key: " + adminKey, "Authorization:"},
		{"Cookie: Authorization=Bearer " + adminKey, "Authorization:"},
	} {
		m := message{method: p.Method, target: p.path, headers: lines, body: g.fill(p.body)}
		g.add(hostile{name: fmt.Sprintf("key %.40q %s", lines[0], p.name()), refused: true, stranger: true, wire: strings.Contains(lines[0], "\x00")}, m)
	}
	g.add(hostile{name: "key in the query " + p.name(), refused: true, stranger: true}, message{
		method: p.Method, target: p.path + "?access_token=" + adminKey, headers: []string{"Authorization:"}, body: g.fill(p.body),
	})
}

// headers tries the route with headers that are wrong, doubled, odd or huge.
func (g *generator) headers(p place) {
	flood := make([]string, 400)
	for i := range flood {
		flood[i] = fmt.Sprintf("X-Flood-%d: %s", i, strings.Repeat("CANARY", 8))
	}
	for name, c := range map[string]struct {
		lines         []string
		refused, wire bool
	}{
		"a huge one":             {[]string{"X-Huge: " + strings.Repeat("CANARY", 11_000)}, true, true},
		"a flood":                {flood, true, true},
		"400 equal ones":         {slices.Repeat([]string{"X-Same: 1"}, 400), false, true},
		"no colon":               {[]string{"CANARY"}, true, true},
		"space before the colon": {[]string{"X-Space : CANARY"}, true, true},
		"no name":                {[]string{": CANARY"}, true, true},
		"a folded line":          {[]string{"X-Folded: a", " CANARY"}, false, true},
		"a NUL":                  {[]string{"X-Nul: CANARY\x00"}, true, true},
		"a control character":    {[]string{"X-Control: CANARY\x01"}, true, true},
		"a bare carriage return": {[]string{"X-Return: a\rX-Injected: CANARY"}, true, true},
		"a second host":          {[]string{"Host: a", "Host: CANARY"}, true, true},
		"a bad host":             {[]string{"Host: CANARY /<>"}, true, true},
		"an odd host":            {[]string{"Host: CANARY:99999"}, false, true},
		"a bad request id":       {[]string{"X-Request-Id: CANARY <script>"}, false, false},
		"two request ids":        {[]string{"X-Request-Id: CANARY", "X-Request-Id: b"}, false, false},
		"a long request id":      {[]string{"X-Request-Id: " + strings.Repeat("CANARY", 40)}, false, false},
		"forwarded for":          {[]string{"X-Forwarded-For: CANARY", "Forwarded: for=CANARY", "X-Real-Ip: CANARY"}, false, false},
		"a rewritten path":       {[]string{"X-Original-Url: /v1/CANARY", "X-Rewrite-Url: /v1/CANARY"}, false, false},
		"a range":                {[]string{"Range: bytes=0-0,5-,-1"}, false, false},
		"conditions":             {[]string{"If-None-Match: *", "If-Modified-Since: CANARY"}, false, false},
		"an upgrade":             {[]string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}, false, true},
		"a websocket":            {[]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: CANARY"}, false, true},
		"an odd expectation":     {[]string{"Expect: 200-CANARY"}, true, true},
		"odd wishes":             {[]string{"Accept: CANARY/x", "Accept-Charset: utf-7", "Accept-Encoding: br;q=9", "Accept-Language: " + strings.Repeat("a,", 900)}, false, false},
		"an origin":              {[]string{"Origin: https://CANARY.example", "Sec-Fetch-Site: cross-site"}, false, false},
		"a hop dropped":          {[]string{"Connection: Authorization, close"}, false, true},
	} {
		m := message{method: p.Method, target: g.nowhere(p), headers: c.lines, body: g.fill(p.body)}
		if c.refused && p.Method != http.MethodPost {
			m.body = ""
		}
		g.add(hostile{name: "header: " + name + " " + p.name(), refused: c.refused, wire: c.wire}, m)
	}
	for _, key := range []string{"", " ", `"`, `"CANARY`, `"CANARY" x`, "CANARY\xff", "CANARYé", "CANARY\tb", strings.Repeat("k", 256) + "CANARY", `"a\CANARY"`} {
		if p.body != "" && strings.HasPrefix(p.Path, "/v1/tasks") && p.status == http.StatusCreated {
			g.add(hostile{name: fmt.Sprintf("Idempotency-Key %.20q %s", key, p.name()), refused: true},
				message{method: p.Method, target: p.path, headers: []string{"Idempotency-Key: " + key}, body: g.fill(p.body)})
		}
	}
	if p.body == "" {
		return
	}
	for _, mediaType := range []string{
		"", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=CANARY", "application/json; charset=utf-16",
		"application/json; charset=CANARY", "application/json, text/html", "application/xml", "application/jsonCANARY", "application/json;=;", "*/*",
		"application/json; a=\"" + strings.Repeat("CANARY", 300), "\xffCANARY", "application/merge-patch+json",
	} {
		g.add(hostile{name: fmt.Sprintf("Content-Type %.40q %s", mediaType, p.name()), refused: true},
			message{method: p.Method, target: p.path, headers: []string{"Content-Type: " + mediaType}, body: g.fill(p.body)})
	}
	g.add(hostile{name: "two Content-Types " + p.name(), refused: true},
		message{method: p.Method, target: p.path, headers: []string{"Content-Type: application/json", "Content-Type: application/json"}, body: g.fill(p.body)})
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "CANARY", "aws-chunked"} {
		g.add(hostile{name: "Content-Encoding " + coding + " " + p.name(), refused: true},
			message{method: p.Method, target: p.path, headers: []string{"Content-Encoding: " + coding}, body: bomb})
	}
}

// bomb is ten megabytes of spaces, in ten kilobytes.
var bomb = func() string {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write(bytes.Repeat([]byte(" "), 10<<20))
	_ = writer.Close()
	return packed.String()
}()

// queries tries the route with parameters that it does not know, and with wrong values of those that it does.
func (g *generator) queries(p place) {
	try := func(query string, refused bool) {
		g.add(hostile{name: fmt.Sprintf("query %.60q %s", query, p.name()), refused: refused && !p.open, wire: strings.ContainsAny(query, " \x00\x7f")},
			message{method: p.Method, target: g.nowhere(p) + "?" + query, body: g.fill(p.body)})
	}
	for _, query := range []string{
		"CANARY", "CANARY=1", "a=CANARY", "%43ANARY=CANARY", "%ff%fe=CANARY", "a=%zzCANARY", "a=1;b=CANARY", "a[]=CANARY", "a=%00CANARY", "=CANARY",
		"limit[]=1", "LIMIT=1", "limit%00=1", strings.Repeat("a=CANARY&", 500), "x=" + strings.Repeat("CANARY", 1000), "a=CANARY b", "a=\x00CANARY", "a=\x7f",
		"id=" + g.unknown, "_method=DELETE", "debug=1", "a=\xff\xfeCANARY", "%", "&a&&=", "__proto__=CANARY",
	} {
		try(query, true)
	}
	for _, query := range []string{"", "&", "&&&&", "?"} {
		try(query, query == "?")
	}
	for _, name := range p.query {
		for _, value := range []string{
			"0", "-1", "201", "1e2", "99999999999999999999", "0x10", "%2B5", "%EF%BC%95", "5%20", "CANARY", "%00CANARY", "%ffCANARY", "CANARY%0D%0AX:%20y",
			"'%3B%20DROP%20TABLE%20merchants%3B--CANARY", "%F0%9F%92%B8CANARY", strings.Repeat("CANARY", 500), "null", "%7B%7D", "pending,failed", "*", "%25",
			encoded("\x01CANARY"), encoded("\x01" + strings.Repeat("\x00", 8)), encoded("\x02" + strings.Repeat("\xff", 44)), encoded(strings.Repeat("CANARY", 300)),
			encoded("\x01AAAAAAAA"+g.unknown) + "%3D", "2030-13-45T99:99:99Z", "acct_CANARY%2F", g.unknown + "CANARY",
		} {
			never := name == "limit" || name == "cursor"
			try(name+"="+value, never)
			try(name+"="+value+"&"+name+"="+value, true)
		}
	}
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// paths tries ids that are none, and ways to be somewhere else than a guard in front believes.
func (g *generator) paths(p place) {
	for _, id := range []string{
		"", ".", "..", "%2e", "%2e%2e", "%2E%2E%2F", "%2F", "a%2Fb", "..%2f..%2f..%2fetc%2fpasswd", "%00", g.unknown + "%00", "\x00", "\x7f", "CANARY",
		strings.Repeat("a", 300), strings.Repeat("CANARY", 1200), strings.ToUpper(g.unknown), "%7B" + g.unknown + "%7D", "urn:uuid:" + g.unknown,
		strings.ReplaceAll(g.unknown, "-", ""), "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "%FF%FE", "%", "%zz", "%25", "%252e%252e",
		"'%20OR%20'1'='1", "'; DROP TABLE scheduled_tasks;--", "$1", "{id}", ":id", "*", "null", "-1", "0", "9223372036854775808", "1e3", "%EF%BC%91",
		g.unknown + "/", g.unknown + "//", "/" + g.unknown, "./" + g.unknown, g.unknown + "/.", g.unknown + "/..", g.unknown + ";a=b", g.unknown + "%20", "%20" + g.unknown,
		g.unknown + "%0d%0aX-Injected:%20CANARY", "\\", "%5c", "..\\..", "%c0%ae%c0%ae", "\xff\xfe", "é", "%E2%80%AE" + g.unknown, g.merchant + "CANARY",
		"batch", "%62atch", g.unknown + "#CANARY", g.unknown + "%23", g.unknown + "%3Flimit=1",
	} {
		target := strings.Replace(p.Path, "{id}", id, 1)
		// A dot, an empty one or "batch" may lead to another route; then that one answers as it does.
		elsewhere := id == "" || id == "batch" || id == "%62atch" || strings.Trim(id, "./") == "" || strings.HasSuffix(p.Path, "{id}") && strings.HasPrefix(id, g.unknown+"/")
		g.add(hostile{name: fmt.Sprintf("id %.60q %s", id, p.name()), refused: !elsewhere, wire: strings.ContainsAny(id, "\x00\x7f ") || strings.Contains(id, "%zz") || strings.HasSuffix(id, "%")},
			message{method: p.Method, target: target, body: g.fill(p.body)})
	}
	for _, target := range []string{"//v1/../" + g.nowhere(p), "/." + g.nowhere(p), "/v1/x/.." + strings.TrimPrefix(g.nowhere(p), "/v1"), "/healthz/.." + g.nowhere(p), g.nowhere(p) + "/x/y/z", "/%76%31" + strings.TrimPrefix(g.nowhere(p), "/v1")} {
		g.add(hostile{name: fmt.Sprintf("path %.60q %s", target, p.Method), refused: true}, message{method: p.Method, target: target, body: g.fill(p.body)})
	}
	for _, target := range []string{"http://CANARY.example" + g.nowhere(p), "*", "CANARY", "http:///", "http://[::1]:namedport/", "//CANARY@x" + g.nowhere(p), "/" + strings.Repeat("a/", 4000), "?", "/?" + g.unknown} {
		g.add(hostile{name: fmt.Sprintf("target %.60q %s", target, p.Method), refused: true, wire: true}, message{method: p.Method, target: target})
	}
}
