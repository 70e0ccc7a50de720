package secret_test

import (
	"testing"

	"billonce/pkg/secret"
)

const canary = "sk_live_canary_4eC39HqLyjWDarjtT1zdp7dc"

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
