package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"billonce/pkg/secret"
)

const canary = "sk_live_canary_4eC39HqLyjWDarjtT1zdp7dc"

type holder struct {
	Name  string
	Token secret.Text
	Ptr   *secret.Text
	List  []secret.Text
	Map   map[string]secret.Text
	inner secret.Text
}

// document is what encoding/xml needs: a struct with a name.
type document struct{ Token secret.Text }

func held() holder {
	t := secret.New(canary)
	return holder{Name: "n", Token: t, Ptr: &t, List: []secret.Text{t}, Map: map[string]secret.Text{"k": t}, inner: t}
}

func TestNoPrinterShowsTheContent(t *testing.T) {
	h := held()
	text := secret.New(canary)
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v", "%-40s"} {
		outputs["text "+verb] = fmt.Sprintf(verb, text)
		outputs["pointer "+verb] = fmt.Sprintf(verb, &text)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		outputs["struct "+verb] = fmt.Sprintf(verb, struct {
			A secret.Text
			B []secret.Text
			C map[string]secret.Text
		}{h.Token, h.List, h.Map})
		outputs["unexported "+verb] = fmt.Sprintf(verb, h)
	}
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	outputs["json"] = string(asJSON)
	asXML, err := xml.Marshal(document{h.Token})
	if err != nil {
		t.Fatal(err)
	}
	outputs["xml"] = string(asXML)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("m", "token", text, "ptr", &text, slog.Group("g", slog.Any("t", text)), "held", h)
	}
	outputs["slog"] = log.String()
	outputs["error"] = errors.Join(fmt.Errorf("open %v", text), fmt.Errorf("wrap: %w", fmt.Errorf("%s", text))).Error()
	for name, got := range outputs {
		if strings.Contains(got, "canary") || strings.Contains(got, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows the secret: %s", name, got)
		}
	}
}

func TestRevealReturnsTheContent(t *testing.T) {
	if got := secret.New(canary).Reveal(); got != canary {
		t.Errorf("Reveal() = %q", got)
	}
	if !(secret.Text{}).Empty() || secret.New("x").Empty() {
		t.Error("Empty is wrong")
	}
}

func TestEqual(t *testing.T) {
	a := secret.New("one")
	for _, tc := range []struct {
		other secret.Text
		want  bool
	}{{secret.New("one"), true}, {secret.New("two"), false}, {secret.Text{}, false}, {secret.New("onee"), false}} {
		if got := a.Equal(tc.other); got != tc.want {
			t.Errorf("Equal = %v, want %v", got, tc.want)
		}
	}
}
