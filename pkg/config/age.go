package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Age is a duration that may also be given in days: "400d".
type Age time.Duration

const (
	day              = 24 * time.Hour
	maxDays          = 36_500
	defaultRetention = Age(400 * day) // as the tag of [Worker.Retention] says
)

// ParseRetention reads TASK_RETENTION, for programs that read only some variables; "" is the default.
func ParseRetention(text string) (Age, error) {
	if text == "" {
		return defaultRetention, nil
	}
	return parseAge(text)
}

// parseAge reads days or a duration as Go writes it. Its errors show no value.
func parseAge(text string) (Age, error) {
	count, inDays := strings.CutSuffix(text, "d")
	if !inDays {
		duration, err := time.ParseDuration(text)
		if err != nil || duration < 0 {
			return 0, errors.New("not a duration")
		}
		return Age(duration), nil
	}
	days, err := strconv.ParseUint(count, 10, 32)
	if err != nil || days > maxDays {
		return 0, errors.New("not a number of days")
	}
	return Age(time.Duration(days) * day), nil
}
