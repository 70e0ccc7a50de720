package cli

import (
	"testing"
	"time"
)

func TestTimesAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2030-01-31T09:00:00Z": "2030-01-31T09:00:00Z", "2030-01-31T09:00:00+02:00": "2030-01-31T07:00:00Z", "2030-01-31": "2030-01-31T00:00:00Z",
		"now": "2026-03-01T12:00:00Z", "-2h": "2026-03-01T10:00:00Z", "+90m": "2026-03-01T13:30:00Z", "-1d": "2026-02-28T12:00:00Z",
		"+1d12h": "2026-03-03T00:00:00Z", "-1h30m": "2026-03-01T10:30:00Z",
	} {
		if got, err := readMoment(text, now, pastOrFuture); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v, want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	for text, want := range map[string]string{"3d": "2026-03-04T12:00:00Z", "720h": "2026-03-31T12:00:00Z", "0h": "2026-03-01T12:00:00Z"} {
		if got, err := readMoment(text, now, future); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v, want %s", text, got.Format(time.RFC3339), err, want)
		}
		if _, err := readMoment(text, now, pastOrFuture); err == nil {
			t.Errorf("%s could be either", text)
		}
	}
	for _, text := range []string{"noon", "2h-", "-", "+", "d", "1.2.3h", "-1y", "2030-13-01", "- 2h", "99999999999d", "-9999999h9999999999h"} {
		if got, err := readMoment(text, now, future); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	if got, err := readMoment("", now, future); err != nil || !got.IsZero() {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzReadMoment(f *testing.F) {
	for _, seed := range []string{"-2h", "+1d12h", "2030-01-31", "now", "3d", "1.5h", ""} {
		f.Add(seed)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		at, err := readMoment(text, now, future)
		if err == nil && text != "" && at.Location() != time.UTC {
			t.Errorf("%q is not in UTC: %s", text, at)
		}
	})
}

func FuzzReadParams(f *testing.F) {
	for _, seed := range []string{"a=1", "a:=1", "a[b]=c", "a[0][b]:={}", "a[0]=", "=", "a[", ":="} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(_ *testing.T, one, another string) {
		_ = readParams(map[string]any{}, []string{one, another}) // it must not panic
	})
}
