package billing_test

import (
	"testing"

	"billonce/pkg/billing"
)

func TestEventMarks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"0123456789ab.1:1:": true, "0123456789ab.100:107:100,103,106": true, "0123456789ab.9223372036854775807:9223372036854775807:": true,
		"": false, ".": false, "0123456789ab": false, "0123456789ab.": false, "0123456789ab.1:1": false, "0123456789ab.1:1:1": false,
		"0123456789ab.2:1:": false, "0123456789ab.0:1:": false, "0123456789ab.01:1:": false, "0123456789ab.+1:1:": false, "0123456789ab.1:9:0": false,
		"0123456789ab.1:9:2,2": false, "0123456789ab.1:9:3,2": false, "0123456789ab.1:9:9": false, "0123456789ab.3:9:2": false, "0123456789ab.1:9:2,": false,
		"0123456789ab.9223372036854775808:9223372036854775808:": false, "0123456789ab.1:1:\n": false, "0123456789AB.1:1:": false, "0123456789abc.1:1:": false,
		"0123456789ab.1:1::": false, "0123456789ab.1.5:2:": false,
	} {
		mark, err := billing.ParseEventMark(text)
		if (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && (mark.String() != text || mark.IsZero()) {
			t.Errorf("%q comes back as %q", text, mark)
		}
	}
	if (billing.EventMark{}).String() != "" {
		t.Error("the zero mark has a text")
	}
}

// FuzzEventMark: what is read is written again as it was, and has no character that could end a line of a stream.
func FuzzEventMark(f *testing.F) {
	for _, text := range []string{"0123456789ab.1:1:", "0123456789ab.100:107:100,103,106", "0123456789ab.1:9:9", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mark, err := billing.ParseEventMark(text)
		if err != nil {
			return
		}
		if mark.String() != text {
			t.Errorf("%q comes back as %q", text, mark)
		}
		for _, r := range text {
			if r <= ' ' || r > '~' {
				t.Errorf("%q is accepted", text)
			}
		}
	})
}
