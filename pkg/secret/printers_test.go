package secret_test

import (
	"bytes"
	"database/sql/driver"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"expvar"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	plain "text/template"

	"billonce/pkg/secret"
)

// holder has a secret wherever a Go value can have one.
type holder struct {
	Name      string
	Token     secret.Text
	Ptr       *secret.Text
	List      []secret.Text
	Array     [2]secret.Text
	Map       map[string]secret.Text
	Keys      map[secret.Text]int
	Any       any
	Deep      struct{ Inner []map[string]*secret.Text }
	inner     secret.Text
	innerPtr  *secret.Text
	innerList []secret.Text
	innerMap  map[string]secret.Text
	innerAny  any
}

func held() holder {
	t := secret.New(canary)
	h := holder{
		Name: "n", Token: t, Ptr: &t, List: []secret.Text{t}, Array: [2]secret.Text{t, t}, Map: map[string]secret.Text{"k": t},
		Keys: map[secret.Text]int{t: 1}, Any: t, inner: t, innerPtr: &t, innerList: []secret.Text{t},
		innerMap: map[string]secret.Text{"k": t}, innerAny: t,
	}
	h.Deep.Inner = []map[string]*secret.Text{{"k": &t}}
	return h
}

// document is what encoding/xml needs: a struct with a name, and neither maps nor pointers to maps.
type document struct {
	Token     secret.Text
	Attribute secret.Text `xml:"attribute,attr"`
	Ptr       *secret.Text
	List      []secret.Text
}

// failure is an error with a secret in it and no manners of its own.
type failure struct {
	Token secret.Text
	inner secret.Text
}

func (failure) Error() string { return "failed" }

// wantSilent fails if the content, or a form of it that can be turned back, is in what somebody printed.
func wantSilent(t *testing.T, printer, printed string) {
	t.Helper()
	for form, text := range map[string]string{
		"plain": "canary", "hex": hex.EncodeToString([]byte("canary")), "HEX": strings.ToUpper(hex.EncodeToString([]byte("canary"))),
		"base64": base64.StdEncoding.EncodeToString([]byte(canary))[:20], "decimal bytes": strings.Trim(fmt.Sprint([]byte("canary")), "[]"),
	} {
		if strings.Contains(printed, text) {
			t.Errorf("%s shows the secret, %s: %s", printer, form, printed)
		}
	}
}

func TestNoVerbShowsTheContent(t *testing.T) {
	h, text := held(), secret.New(canary)
	for what, value := range map[string]any{
		"the text": text, "a pointer": &text, "a struct": h, "a pointer to a struct": &h, "a slice": []secret.Text{text},
		"a slice of structs": []holder{h}, "a map": map[string]any{"k": text, "h": h}, "a map's keys": map[secret.Text]bool{text: true},
		"an error": failure{text, text}, "a pointer to an error": &failure{text, text}, "a function's argument": any(text),
		"a channel of them": make(chan secret.Text), "an array": [1]secret.Text{text}, "pointers": []*secret.Text{&text},
	} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, flags := range []string{"", "+", "#", " ", "0", "-40", "10.30", ".5", "# ", "+#"} {
				format := "%" + flags + string(verb)
				wantSilent(t, what+" with "+format, fmt.Sprintf(format, value))
				wantSilent(t, what+" in an error with "+format, fmt.Errorf("e: "+format, value).Error())
			}
		}
		wantSilent(t, what+" printed", fmt.Sprint(value)+fmt.Sprintln(value)+string(fmt.Append(nil, value)))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, text); got != secret.Redacted {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	joined := errors.Join(fmt.Errorf("open %v", text), fmt.Errorf("wrap: %w", failure{text, text}))
	wantSilent(t, "errors.Join", fmt.Sprintf("%v %+v %#v %q", joined, joined, joined, joined))
}

func TestNoEncoderShowsTheContent(t *testing.T) {
	h, text := held(), secret.New(canary)
	outputs := map[string]func(out *bytes.Buffer) error{
		"json": func(out *bytes.Buffer) error { return json.NewEncoder(out).Encode([]any{h, &h, text, &text}) },
		"indented json": func(out *bytes.Buffer) error {
			encoded, err := json.MarshalIndent(map[string]any{"h": h, "t": text}, "", " ")
			out.Write(encoded)
			return err
		},
		"xml": func(out *bytes.Buffer) error {
			return xml.NewEncoder(out).Encode(document{text, text, &text, []secret.Text{text}})
		},
		// What encodes to YAML or TOML asks for this, or looks at exported fields.
		"text": func(out *bytes.Buffer) error {
			encoded, err := text.MarshalText()
			out.Write(encoded)
			return err
		},
		"text/template": func(out *bytes.Buffer) error {
			return plain.Must(plain.New("").Parse(`{{.}} {{.Token}} {{printf "%s %q" .Token .Token}} {{html .Token}} {{js .Token}} {{urlquery .Token}} {{len .List}}`)).Execute(out, h)
		},
		"html/template": func(out *bytes.Buffer) error {
			return template.Must(template.New("").Parse(`<a href="/?{{.Token}}" title="{{.Token}}">{{.}}</a><script>x = {{.Token}}; y = {{.List}}</script>`)).Execute(out, h)
		},
		"expvar": func(out *bytes.Buffer) error {
			_, err := out.WriteString(expvar.Func(func() any { return h }).String())
			return err
		},
		"log": func(out *bytes.Buffer) error { log.New(out, "", 0).Println(h, text, &text); return nil },
	}
	for name, encode := range outputs {
		var out bytes.Buffer
		if err := encode(&out); err != nil || !strings.Contains(out.String(), "redacted") {
			t.Errorf("%s: %v: %s", name, err, out.String())
		}
		wantSilent(t, name, out.String())
	}
	// gob and SQL drivers have no word for a secret: they refuse it, without a word of it.
	for name, refuse := range map[string]func(out *bytes.Buffer) error{
		"gob": func(out *bytes.Buffer) error { return gob.NewEncoder(out).Encode(text) },
		"gob of a struct": func(out *bytes.Buffer) error {
			return gob.NewEncoder(out).Encode(struct{ Token secret.Text }{text})
		},
		"sql": func(*bytes.Buffer) error {
			_, err := driver.DefaultParameterConverter.ConvertValue(text)
			return err
		},
	} {
		var out bytes.Buffer
		err := refuse(&out)
		if err == nil {
			t.Errorf("%s takes a secret: %q", name, out.String())
			continue
		}
		wantSilent(t, name, out.String()+err.Error())
	}
}

func TestNoLoggerShowsTheContent(t *testing.T) {
	h, text := held(), secret.New(canary)
	var out bytes.Buffer
	options := &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, options), slog.NewTextHandler(&out, options)} {
		log := slog.New(handler).With(slog.Any("with", text)).WithGroup("group").With("held", h)
		log.Debug("m", "token", text, "ptr", &text, "any", slog.AnyValue(text), slog.Group("g", slog.Any("t", text), slog.Any("h", h)),
			"list", h.List, "map", h.Map, "err", failure{text, text}, "wrapped", fmt.Errorf("wrap: %w: %v", failure{text, text}, text))
	}
	wantSilent(t, "slog", out.String())
	if n := strings.Count(out.String(), secret.Redacted); n < 20 {
		t.Errorf("%d times redacted: %s", n, out.String())
	}
}

// TestAPanicShowsNoContent: the runtime prints the value of a panic that nobody recovers, and the arguments of the functions
// on the stack.
func TestAPanicShowsNoContent(t *testing.T) {
	const variable = "SECRET_TEST_PANIC"
	values := map[string]func() any{
		"text": func() any { return secret.New(canary) }, "pointer": func() any { text := secret.New(canary); return &text },
		"struct": func() any { return held() }, "error": func() any { return failure{secret.New(canary), secret.New(canary)} },
		"wrapped": func() any { return fmt.Errorf("wrap %v: %w", held(), failure{secret.New(canary), secret.New(canary)}) },
	}
	if value, ok := values[os.Getenv(variable)]; ok {
		panic(value())
	}
	for name := range values {
		command := exec.Command(os.Args[0], "-test.run=^TestAPanicShowsNoContent$")
		command.Env = append(os.Environ(), variable+"="+name, "GOTRACEBACK=all")
		output, err := command.CombinedOutput()
		if err == nil || !bytes.Contains(output, []byte("panic:")) {
			t.Errorf("%s: no panic: %v: %s", name, err, output)
		}
		wantSilent(t, "a panic with a "+name, string(output))
	}
}
