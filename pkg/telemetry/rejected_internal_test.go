package telemetry

import "testing"

// FuzzRejected: whatever a collector answers is read without harm, and what it may mean is a number of spans.
func FuzzRejected(f *testing.F) {
	for answer, want := range map[string]int{
		"": 0, "\x0a\x00": 0, "\x0a\x02\x08\x03": 3, "\x0a\x06\x12\x02no\x08\x02": 2, "\x12\x01x\x0a\x02\x08\x07": 7, // with fields before
		"ok": 0, "\x0a\x02\x08": 0, "\x0a\x7f\x08\x03": 0, "\x08\x03": 0, "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": 0, // -1
	} {
		if got := rejected([]byte(answer)); got != want {
			f.Errorf("%q refuses %d, want %d", answer, got, want)
		}
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if n := rejected(answer); n < 0 {
			t.Errorf("%d", n)
		}
	})
}
