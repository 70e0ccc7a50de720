package httpapi_test

import (
	"regexp"
	"testing"

	"billonce/pkg/httpapi"
)

// FuzzTimestamp holds the form of a time against the expression that says it best.
func FuzzTimestamp(f *testing.F) {
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	for _, seed := range []string{
		"2030-01-31T09:00:00Z", "2030-01-31T09:00:00.123456789+02:00", "2030-01-31T09:00:00-00:30", "2030-01-31T09:00:00.Z", "2030-01-31T9:00:00Z",
		"2030-01-31T09:00:00,5Z", "2030-01-31T09:00:00", "2030-01-31T09:00:00+-2:00", "2030-01-31T09:00:00.5", "d030-01-31T09:00:00Z", "", "2030-01-31T09:00:00ZZ",
		"2030-01-31T09:00:00+24:00", "2030-01-31T09:00:00-00:60", "2030-01-31T09:00:00+23:59",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := httpapi.IsTimestamp(text), form.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	})
}
