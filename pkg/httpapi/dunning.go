package httpapi

import (
	"fmt"
	"regexp"
	"time"

	"billonce/pkg/billing"
)

// The forms of what a dunning plan holds. time.ParseDuration takes more (signs, fractions, nanoseconds).
var (
	wholeDuration = regexp.MustCompile(`^([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$`)
	declineCode   = regexp.MustCompile(`^[a-z0-9_]{1,100}$`)
)

// dunning reads an optional plan for what follows a decline; nil when there is none or it is wrong.
func (o *object) dunning(name string) *billing.Dunning {
	raw := o.optional(name)
	if raw == nil {
		return nil
	}
	before := len(*o.faults)
	inner := readObject(raw, o.at(name), o.faults)
	if len(*o.faults) > before {
		return nil
	}
	var plan billing.Dunning
	inner.each("retry_after", inner.required("retry_after"), 1, billing.MaxDunningSteps, func(list *object, at, text string) {
		after, err := time.ParseDuration(text)
		switch {
		case err != nil || !wholeDuration.MatchString(text):
			list.fault(at, faultFormat, "must be a duration in hours, minutes and seconds, like 24h or 1h30m")
		case after < billing.MinDunningDelay || after > billing.MaxDunningDelay:
			list.fault(at, faultRange, fmt.Sprintf("must be %s to %s", billing.MinDunningDelay, billing.MaxDunningDelay))
		}
		plan.RetryAfter = append(plan.RetryAfter, after)
	})
	inner.each("stop_codes", inner.optional("stop_codes"), 0, billing.MaxStopCodes, func(list *object, at, text string) {
		if !declineCode.MatchString(text) {
			list.fault(at, faultFormat, "must be a decline code of Stripe's: lower-case letters, digits and underscores")
		}
		plan.StopCodes = append(plan.StopCodes, text)
	})
	inner.done()
	return &plan
}

// each reads a list of least to most strings, and calls read for each with its position. raw may be nil.
func (o *object) each(name string, raw []byte, least, most int, read func(list *object, at, text string)) {
	if raw == nil {
		return
	}
	if raw[0] != '[' {
		o.fault(name, faultWrongType, "must be a list")
		return
	}
	list := &object{pointer: o.at(name), faults: o.faults}
	count := 0
	for index, value := range elements(raw) {
		if count = index + 1; count > most {
			break
		}
		at := fmt.Sprint(index)
		if text, ok := list.text(at, value, 1, maxTargetBytes); ok {
			read(list, at, text)
		}
	}
	if count < least || count > most {
		o.fault(name, faultLength, fmt.Sprintf("must have %d to %d elements", least, most))
	}
}
