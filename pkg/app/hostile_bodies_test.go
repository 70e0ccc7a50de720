package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What a value of a body is replaced by. How the text is refused, if it must be, follows from what it is.
type twist struct {
	text string
	what byte // n number, s text, b boolean, a array, o object, 0 null; x: no JSON; f: JSON that must be refused wherever it stands
}

func twists() []twist {
	list := []twist{{"null", '0'}, {"true", 'b'}, {"false", 'b'}, {"[]", 'a'}, {`["CANARY"]`, 'a'}, {"{}", 'o'}, {`{"a":"CANARY"}`, 'o'}, {"[[[[[[[[[[1]]]]]]]]]]", 'a'}}
	for _, n := range []string{"0", "-1", "1.5", "-0", "1e2", "9223372036854775808", "-9223372036854775809", "12345678901234567890123456789012345678", "0.1e-9"} {
		list = append(list, twist{n, 'n'})
	}
	for _, s := range []string{
		"", " ", "CANARY", "  CANARY  ", "\u202eCANARY", "CANARY\u200b", "\U0001f4b8CANARY", "CANARY\\n\\r\\u0007", "${jndi:ldap://CANARY}", "'; DROP TABLE merchants;--CANARY",
		"../../CANARY", "<script>CANARY</script>", "%00CANARY", "CANARY%s%n%x", "2030-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
		"0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2030-01-01T00:00:00+99:99", "2030-01-01", "99999-01-01T00:00:00Z", "2030-01-01T00:00:00.0000000000000000001Z", "-24h", "99999999h", "24h1", "0", "NaN", "true", "null",
		strings.Repeat("CANARY", 90), strings.Repeat("é", 3000), strings.Repeat("CANARY", 1000), "acct_CANARY", "sk_live_CANARY", "\ufffdCANARY", "\ufeffCANARY", "é",
		"\\ud83d\\udcb8CANARY", "\\u0043ANARY", "https://CANARY.example/?a=b",
	} {
		list = append(list, twist{`"` + s + `"`, 's'})
	}
	for _, f := range []string{
		`"CANARY\u0000"`, `"\u0000"`, `"CANARY\ud83d"`, `"\udcb8CANARY"`, `"\ud83d\ud83dCANARY"`, "1e999", "-1e999", "1e-999", strings.Repeat("9", 400), `{"a":1,"a":"CANARY"}`, `{"a":1,"\u0061":2}`,
		`[{"a":{"b":1,"b":2}}]`, "0." + strings.Repeat("3", 400),
	} {
		list = append(list, twist{f, 'f'})
	}
	for _, x := range []string{
		"", "tru", "nan", "NaN", "Infinity", "-Infinity", "0x10", "01", "+1", ".5", "1.", "-", "1e", "1e+", "'CANARY'", "CANARY", "undefined", "/* CANARY */ 1", "1 // CANARY", "[1,]", `{"a":1,}`, "[1 2]",
		`{"a" 1}`, `{a:1}`, `{1:1}`, `"CANARY`, `"\x41CANARY"`, `"\u12G4CANARY"`, `"\u12"`, "\"CANARY\xff\"", "\"CANARY\xc0\xaf\"", "\"CANARY\xed\xa0\x80\"", "\"CANARY\x00\"", "\"CANARY\n\"", "\"CANARY\t\"", "\x00",
		strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 5000), strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "]", "}", `"a":1`, "1,2",
		`"` + strings.Repeat("CANARY", 12_000) + `"`, strings.Repeat("[1],", 20_000) + "1",
	} {
		list = append(list, twist{x, 'x'})
	}
	return list
}

const mark = "@@HERE@@"

// spot is a value of a sample: its pointer, its kind as in twist, and the sample with a mark instead of it.
type spot struct {
	pointer string
	what    byte
	raw     string // how the value is spelled
	around  string
}

// spots lists every value of a sample, the whole first.
func spots(body string) []spot {
	var whole any
	if err := json.Unmarshal([]byte(body), &whole); err != nil {
		panic(err)
	}
	var list []spot
	spell := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	var walk func(value any, pointer string, around func(any) any)
	walk = func(value any, pointer string, around func(any) any) {
		list = append(list, spot{pointer, kindOf(value), spell(value), strings.Replace(spell(around(mark)), `"`+mark+`"`, mark, 1)})
		switch v := value.(type) {
		case map[string]any:
			for name, inner := range v {
				walk(inner, pointer+"/"+name, func(other any) any {
					changed := map[string]any{}
					for n, o := range v {
						changed[n] = o
					}
					changed[name] = other
					return around(changed)
				})
			}
		case []any:
			for i, inner := range v {
				walk(inner, pointer+"/"+strconv.Itoa(i), func(other any) any {
					changed := slices.Clone(v)
					changed[i] = other
					return around(changed)
				})
			}
		}
	}
	walk(whole, "", func(other any) any { return other })
	slices.SortFunc(list, func(a, b spot) int { return strings.Compare(a.pointer, b.pointer) }) // the same for the same seed
	return list
}

func kindOf(value any) byte {
	switch value.(type) {
	case map[string]any:
		return 'o'
	case []any:
		return 'a'
	case string:
		return 's'
	case float64:
		return 'n'
	case bool:
		return 'b'
	}
	return '0'
}

// refuses reports whether the value of a spot must not be accepted.
func (s spot) refuses(t twist) bool {
	switch {
	case t.text == "" && strings.HasSuffix(s.pointer, "/0"): // a list without its only element
		return false
	case t.what == 'x' || t.what == 'f':
		return true
	case t.what == '0' || t.what == s.what:
		return s.pointer == "" && t.what != 'o'
	case strings.Contains(s.pointer, "/params/"): // Stripe takes a number as text and the like
		unset := t.text == `""`
		return !unset && (s.what == 'o' || s.what == 'a' || t.what == 'o' || t.what == 'a')
	}
	return true
}

// bodies replaces each value of the route's sample by each twist, and spoils its objects' names.
func (g *generator) bodies(p place) {
	if p.body == "" {
		return
	}
	try := func(s spot, what, pointer, text string, refused bool) {
		token := strings.HasSuffix(s.pointer, "_token")
		g.add(hostile{name: fmt.Sprintf("%s at %q: %.50q", p.name(), what, text), refused: refused, pointer: pointer, secret: token},
			message{method: p.Method, target: p.path, body: strings.Replace(g.fill(s.around), mark, text, 1)})
	}
	for _, s := range spots(p.body) {
		deep := strings.Count(s.pointer, "/") > 1
		for _, t := range twists() {
			if deep && len(t.text) > 10_000 { // what is that long meets no other code further down
				continue
			}
			pointer := s.pointer
			if t.what == s.what && s.what == 'b' { // livemode may be right, and the token wrong then
				pointer = ""
			}
			try(s, s.pointer, pointer, t.text, s.refuses(t) && !(p.bare && s.pointer == "" && t.text == ""))
		}
		if s.what != 'o' || s.raw == "{}" {
			continue
		}
		inner := strings.TrimPrefix(g.fill(s.raw), "{")
		first, _, _ := strings.Cut(inner, ",")
		first = strings.TrimSuffix(first, "}")
		at := s.pointer + "/*"
		for _, name := range []string{"nobody_knows", "", "__proto__", "Name", "MERCHANT_ID", "ｋind", strings.Repeat("CANARY", 20), "a b", "a/b~c", "a[b]", "\\u0000", "\\ud83d", "<CANARY>", "\\u202e"} {
			if name == "<CANARY>" {
				continue // a short name is in its pointer, so that the client can find it
			}
			try(s, at, s.pointer, `{"`+name+`":["CANARY"],`+inner, true)
		}
		try(s, at, s.pointer, "{"+first+","+inner, true)
		if deep {
			continue
		}
		try(s, at, s.pointer, "{"+strings.Repeat(`"n":1,`, 5000)+inner, true)
		var many strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&many, `"n%d":"x",`, i)
		}
		try(s, at, s.pointer, "{"+many.String()+inner, true)
	}
}

// broken sends bodies that are cut short, go on, or are none, also to routes that take none.
func (g *generator) broken(p place) {
	try := func(what, body string, refused bool) {
		g.add(hostile{name: fmt.Sprintf("body %s %.40q %s", what, body, p.name()), refused: refused && !p.open && p.Method != "GET"},
			message{method: p.Method, target: p.path, body: body})
	}
	for _, body := range []string{
		" ", "null", "[]", "0", `""`, `"CANARY"`, "[{}]", "{", "}", "{}{}", "{},", "\x00", "\ufeff{}", "{}\x00", "{}\xff", "{}CANARY", strings.Repeat("[", 60_000), `{"a":` + strings.Repeat("[", 200),
		"{}" + strings.Repeat(" ", 70_000), `{"nobody_knows":"CANARY"}`, "a=CANARY", "<a>CANARY</a>", "--- CANARY\n- a", "\x1f\x8b\x08CANARY", "{}\n{}", `{"":""}`,
	} {
		huge := len(body) > 65_536 && p.Path == "/v1/tasks/batch" // within what a batch may have
		try("as a whole", body, !huge || body[0] != '{')
	}
	if p.body == "" {
		return
	}
	whole := g.fill(p.body)
	for at := 1; at < len(whole); at += max(1, len(whole)/60) {
		try("cut at "+strconv.Itoa(at), whole[:at], true)
	}
	for _, tail := range []string{"{}", ",", "]", "}", "\x00", "CANARY", whole, "//", "\ufeff", "\x1a"} {
		try("and then", whole+tail, true)
		try("after", tail+whole, true)
	}
	for _, wrap := range []string{"[%s]", `{"data":%s}`, `"%s"`, "(%s)", ")]}'\n%s", "callback(%s)"} {
		try("wrapped", strings.Replace(wrap, "%s", whole, 1), true)
	}
}

// mutations are samples with bytes changed by chance: anything may come of them but a fault of ours.
func (g *generator) mutations(n int) {
	var targets []place
	for _, p := range g.places {
		if p.body != "" {
			targets = append(targets, p)
		}
	}
	for range n {
		p := targets[g.random.IntN(len(targets))]
		body := []byte(g.fill(p.body))
		for range 1 + g.random.IntN(4) {
			at := g.random.IntN(len(body))
			end := min(len(body), at+g.random.IntN(12))
			switch g.random.IntN(5) {
			case 0:
				body[at] = byte(g.random.IntN(256))
			case 1:
				body = slices.Delete(body, at, end)
			case 2:
				body = slices.Insert(body, at, body[at:end]...)
			case 3:
				body = slices.Insert(body, at, []byte(`"{}[]:,\0eE-.`)[g.random.IntN(13)])
			case 4:
				body[at] ^= 1 << g.random.IntN(8)
			}
			if len(body) == 0 {
				body = []byte("{")
			}
		}
		g.add(hostile{name: "by chance " + p.name()}, message{method: p.Method, target: p.path, body: string(body)})
	}
}
