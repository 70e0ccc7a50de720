package report

import (
	"fmt"
	"math"
	"strconv"
)

// Direction says on which side of its limit a bar wants the number.
type Direction string

// The directions.
const (
	AtLeast Direction = "at least"
	AtMost  Direction = "at most"
)

// Bar is a promise about a median, or about the ratio of two.
type Bar struct {
	Name string
	Of   Key
	// Against is what the median of Of is divided by; the zero Key leaves it as it is.
	Against   Key
	Direction Direction
	Limit     float64
}

// State is what became of a bar.
type State string

// The states.
const (
	Met     State = "met"
	Missed  State = "MISSED"
	Unknown State = "unknown"
)

// Verdict is a bar with its number.
type Verdict struct {
	Name      string    `json:"name"`
	Of        string    `json:"of"`
	Against   string    `json:"against,omitempty"`
	Direction Direction `json:"direction"`
	Limit     float64   `json:"limit"`
	Value     float64   `json:"value"`
	State     State     `json:"state"`
	Why       string    `json:"why,omitempty"` // it is unknown
}

// Verdicts judges every bar.
func (r *Report) Verdicts() []Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	verdicts := make([]Verdict, len(r.bars))
	for i, bar := range r.bars {
		verdicts[i] = r.judge(bar)
	}
	return verdicts
}

func (r *Report) judge(bar Bar) Verdict {
	verdict := Verdict{
		Name: bar.Name, Of: bar.Of.String(), Direction: bar.Direction, Limit: bar.Limit, State: Unknown,
	}
	value, why := r.number(bar.Of)
	if why == "" && bar.Against != (Key{}) {
		verdict.Against = bar.Against.String()
		var base float64
		if base, why = r.number(bar.Against); why == "" && base == 0 {
			why = verdict.Against + " is 0"
		}
		value /= base
	}
	if why != "" {
		verdict.Why = why
		return verdict
	}
	verdict.Value, verdict.State = value, Missed
	if bar.Direction == AtLeast && value >= bar.Limit || bar.Direction == AtMost && value <= bar.Limit {
		verdict.State = Met
	}
	return verdict
}

func (r *Report) number(key Key) (value float64, why string) {
	result, found := r.find(key)
	switch {
	case !found:
		return 0, key.String() + " was not measured"
	case len(result.Values) == 0:
		return 0, key.String() + " is missing: " + result.Missing
	}
	return result.Median(), ""
}

// format writes a number with three digits that count, or all digits before the point.
func format(value float64) string {
	switch magnitude := math.Abs(value); {
	case magnitude >= 100:
		return groups(strconv.FormatFloat(value, 'f', 0, 64))
	case magnitude >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	case magnitude == 0:
		return "0"
	case magnitude < 0.01:
		return fmt.Sprintf("%.2g", value)
	default:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
}

// groups puts a space between thousands.
func groups(digits string) string {
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return sign + digits
}
