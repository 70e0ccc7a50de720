package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// tense says what a duration without a sign means.
type tense int

const (
	pastOrFuture tense = iota // nothing: it could be either
	future                    // from now
)

// momentForms says in which forms a time may be given.
const momentForms = "a time like 2030-01-31T09:00:00Z, a day like 2030-01-31, now, or a distance from now like -2h or +3d"

var distance = regexp.MustCompile(`^([+-]?)(?:([0-9]{1,5})d)?((?:[0-9.]+(?:h|ms|m|s))*)$`)

// readMoment reads a time in one of the forms of [momentForms]; a day is its first moment in UTC, and "" is no time.
func readMoment(text string, now time.Time, meant tense) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if text == "now" {
		return now.UTC(), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC(), nil
		}
	}
	parts := distance.FindStringSubmatch(text)
	if parts == nil || parts[2] == "" && parts[3] == "" || parts[1] == "" && meant != future {
		return time.Time{}, errors.New("no time")
	}
	var away time.Duration
	if parts[2] != "" {
		days, err := strconv.Atoi(parts[2])
		if err != nil {
			return time.Time{}, err
		}
		away = time.Duration(days) * 24 * time.Hour
	}
	if parts[3] != "" {
		rest, err := time.ParseDuration(parts[3])
		if err != nil {
			return time.Time{}, err
		}
		away += rest
	}
	if parts[1] == "-" {
		away = -away
	}
	return now.Add(away).UTC(), nil
}

// momentFlag reads the flag, whose value may be empty; its error says what the flag takes.
func (p *program) momentFlag(flag, text string, meant tense) (time.Time, error) {
	at, err := readMoment(text, p.Now(), meant)
	if err != nil {
		return at, usageError{fmt.Errorf("%s must be %s", flag, momentForms)}
	}
	return at, nil
}

// addMoment adds a field that is a time to come, unless text is empty.
func (p *program) addMoment(body map[string]any, field, flag, text string) error {
	at, err := p.momentFlag(flag, text, future)
	if err == nil && text != "" {
		body[field] = at
	}
	return err
}

// times is a topic of the help.
func times() *cobra.Command {
	return &cobra.Command{
		Use: "times", Short: "How to write times",
		Long: "Every flag that takes a time takes it in one of these forms:\n\n" +
			"  2030-01-31T09:00:00Z  a moment, as in RFC 3339, with any offset\n" +
			"  2030-01-31            a day: its first moment in UTC\n" +
			"  now                   this moment, by the clock of this machine\n" +
			"  -2h  +30m  -7d  +1d12h  a distance from now\n\n" +
			"Where only a time to come makes sense (--at, --expires, --old-until, --run-at), the sign may be left out.",
	}
}
