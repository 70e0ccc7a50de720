package app_test

import (
	"fmt"
	"strings"
)

// framing disagrees with itself about where the body ends, as a request does that is smuggled past a proxy. A second answer to
// it would mean that what follows the first request was taken for another one.
func (g *generator) framing(p place) {
	body := g.fill(p.body)
	if body == "" {
		body = "{}"
	}
	hidden := fmt.Sprintf("DELETE /v1/merchants/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", g.merchant, adminKey)
	whole := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d", n) }
	const chunked = "Transfer-Encoding: chunked"
	for name, c := range map[string]struct {
		lines         []string
		body          string
		refused, half bool
	}{
		"the length covers what follows the chunks": {[]string{length(len(whole) + len(hidden)), chunked}, whole + hidden, false, false},
		"the chunks end before the length":          {[]string{chunked, length(len(hidden) + 5)}, "0\r\n\r\n" + hidden, false, false},
		"chunks, and a length of none":              {[]string{length(0), chunked}, whole + hidden, false, false},
		"two lengths":                               {[]string{length(len(body)), length(len(body) + len(hidden))}, body + hidden, true, false},
		"a list of lengths":                         {[]string{"Content-Length: 5, 6"}, body, true, false},
		"a negative length":                         {[]string{length(-1)}, body, true, false},
		"a signed length":                           {[]string{fmt.Sprintf("Content-Length: +%d", len(body))}, body, true, false},
		"a length in hexadecimal":                   {[]string{"Content-Length: 0x10"}, body, true, false},
		"a length that is no number":                {[]string{"Content-Length: CANARY"}, body, true, false},
		"an endless length":                         {[]string{"Content-Length: 99999999999999999999"}, body, true, false},
		"a huge length":                             {[]string{"Content-Length: 9223372036854775807"}, body, p.body != "", true},
		"a length with a space before the colon":    {[]string{fmt.Sprintf("Content-Length : %d", len(body))}, body, true, false},
		"a body shorter than its length":            {[]string{length(len(body) + 100)}, body, p.body != "", true},
		"another coding":                            {[]string{"Transfer-Encoding: xchunked"}, whole + hidden, true, false},
		"gzip, then chunks":                         {[]string{"Transfer-Encoding: gzip, chunked"}, whole + hidden, true, false},
		"chunks, then something else":               {[]string{"Transfer-Encoding: chunked, identity"}, whole + hidden, true, false},
		"two codings":                               {[]string{chunked, "Transfer-Encoding: identity"}, whole + hidden, true, false},
		"chunks twice":                              {[]string{chunked, chunked}, whole + hidden, true, false},
		"a hidden coding":                           {[]string{"Transfer-Encoding:\x0bchunked", length(len(whole))}, whole, true, false},
		"a folded coding":                           {[]string{"Transfer-Encoding:", " chunked", length(len(whole))}, whole + hidden, false, false},
		"a misspelled coding":                       {[]string{"Transfer_Encoding: chunked", length(len(body))}, body, false, false},
		"an unread coding":                          {[]string{"TE: trailers, chunked", length(len(body))}, body, false, false},
		"a chunk of a wrong size":                   {[]string{chunked}, "2\r\n" + body + "\r\n0\r\n\r\n", p.body != "", false},
		"a chunk of a huge size":                    {[]string{chunked}, "ffffffffffffffffff\r\n" + body, p.body != "", true},
		"a chunk of a negative size":                {[]string{chunked}, "-5\r\n" + body, p.body != "", true},
		"a chunk size that is none":                 {[]string{chunked}, "CANARY\r\n" + body, p.body != "", true},
		"a chunk without its end":                   {[]string{chunked}, fmt.Sprintf("%x\r\n%s", len(body), body), p.body != "", true},
		"line feeds alone":                          {[]string{chunked}, fmt.Sprintf("%x\n%s\n0\n\n", len(body), body), false, true},
		"a long extension of a chunk":               {[]string{chunked}, "1;a=" + strings.Repeat("CANARY", 1000) + "\r\n{\r\n0\r\n\r\n", p.body != "", true},
		"very small chunks with extensions":         {[]string{chunked}, strings.Repeat("1;abcdefghijklmnopqrstuvwxyz\r\n \r\n", 3000) + "0\r\n\r\n", p.body != "", true},
		"a trailer that would be a header":          {[]string{chunked, "Trailer: Authorization"}, fmt.Sprintf("%x\r\n%s\r\n0\r\nAuthorization: Bearer CANARY\r\n\r\n", len(body), body), false, false},
		"many trailers":                             {[]string{chunked}, fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(body), body) + strings.Repeat("X: CANARY\r\n", 4000) + "\r\n", false, true},
		"100 chunks after the end":                  {[]string{chunked}, whole + strings.Repeat("1\r\n{\r\n", 100), false, false},
	} {
		m := message{method: p.Method, target: g.nowhere(p), headers: c.lines, body: c.body}
		g.add(hostile{name: "framing: " + name + " " + p.name(), refused: c.refused, half: c.half, wire: true}, m)
	}
	kept := func(rest string) string {
		return p.Method + " " + g.nowhere(p) + " HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer " + adminKey +
			"\r\nContent-Type: application/json\r\n" + rest
	}
	for name, smuggler := range map[string]string{
		"the length covers the size of a chunk": kept(fmt.Sprintf("%s\r\n%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length(4), chunked, len(hidden), hidden)),
		"chunks, and a length of none":          kept(length(0) + "\r\n" + chunked + "\r\n\r\n" + hidden),
		"a second request":                      kept(length(len(body)) + "\r\n\r\n" + body + hidden),
	} {
		g.made = append(g.made, hostile{name: "framing: HTTP/1.0, " + name + " " + p.name(), raw: []byte(smuggler), method: p.Method, wire: true})
	}
	for name, raw := range map[string]string{
		"another protocol":   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"HTTP/2":             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"HTTP/3.7":           p.Method + " " + g.nowhere(p) + " HTTP/3.7\r\n\r\n",
		"HTTP/0.9":           p.Method + " " + g.nowhere(p) + "\r\n\r\n",
		"no version":         p.Method + " " + g.nowhere(p) + " \r\n\r\n",
		"HTTP/1.1 twice":     p.Method + " " + g.nowhere(p) + " HTTP/1.1 HTTP/1.1\r\n\r\n",
		"no host":            p.Method + " " + g.nowhere(p) + " HTTP/1.1\r\n\r\n",
		"a space first":      " " + p.Method + " " + g.nowhere(p) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"no end of headers":  p.Method + " " + g.nowhere(p) + " HTTP/1.1\r\nHost: x\r\n",
		"zeros":              strings.Repeat("\x00", 5000),
		"one endless line":   strings.Repeat("A", 40_000),
		"empty lines":        strings.Repeat("\r\n", 2000),
		"HTTP/1.0 in chunks": p.Method + " " + g.nowhere(p) + " HTTP/1.0\r\n" + chunked + "\r\n\r\n" + whole,
	} {
		g.made = append(g.made, hostile{name: "protocol: " + name + " " + p.name(), raw: []byte(raw), method: "POST", refused: !p.open, wire: true, half: true})
	}
}
