package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	minAdminKey  = 16
	minRetention = 24 * time.Hour
	maxWindow    = 23 * time.Hour // Stripe may forget a key after 24 hours; the rest is for clocks that differ
)

// faultList collects faults; a variable that has one already gets no second.
type faultList struct {
	list   []string
	judged map[string]bool
}

func (f *faultList) add(variable, fault string) {
	if f.judged[variable] {
		return
	}
	f.judged[variable] = true
	f.list = append(f.list, variable+" "+fault)
}

func (f *faultList) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.Sort(f.list)
	return &Error{Faults: f.list}
}

func (f *faultList) common(c Common, checks Checks) {
	if c.Env != Development && c.Env != Production {
		f.add("APP_ENV", "must be development or production")
	}
	if c.DatabaseURL.Empty() {
		f.add("DATABASE_URL", "is required")
	} else if err := checks.Database(c.DatabaseURL, c.Env == Production && !c.AllowPlaintext); err != nil {
		f.add("DATABASE_URL", err.Error())
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		f.add("LOG_FORMAT", "must be json or text")
	}
	f.address("OPS_ADDR", c.OpsAddr)
	if c.Env == Production && c.Key.Empty() {
		f.add("ENCRYPTION_KEY", "is required in production; `billctl keys generate` makes one")
	}
	if !c.Key.Empty() {
		if err := checks.Key(c.Key, c.Env); err != nil {
			f.add("ENCRYPTION_KEY", err.Error())
		}
	}
	for i, key := range c.Previous() {
		if err := checks.Key(key, c.Env); err != nil {
			f.add("ENCRYPTION_KEYS_PREVIOUS", fmt.Sprintf("item %d %s", i+1, err))
		}
	}
	if c.Key.Empty() && !c.PreviousKeys.Empty() {
		f.add("ENCRYPTION_KEYS_PREVIOUS", "needs ENCRYPTION_KEY beside it")
	}
	if c.Binding != BindingOptional && c.Binding != BindingRequired {
		f.add("ENCRYPTION_BINDING", "must be optional or required")
	}
	f.atLeast("SHUTDOWN_DELAY", c.ShutdownDelay, 0)
	f.atLeast("SHUTDOWN_TIMEOUT", c.ShutdownTimeout, time.Second)
	if c.ShutdownDelay >= c.ShutdownTimeout && !f.judged["SHUTDOWN_TIMEOUT"] {
		f.add("SHUTDOWN_DELAY", "must be less than SHUTDOWN_TIMEOUT")
	}
	if !(c.MerchantRate >= 0 && c.MerchantRate <= 10_000) { // so that NaN, which is neither, is refused
		f.add("MERCHANT_RATE", "must be between 0 and 10000")
	}
	f.between("MERCHANT_CONCURRENCY", c.MerchantConcurrency, 0, 10_000)
	f.tracing(c.Tracing)
}

func (f *faultList) stripe(environment Environment, s Stripe) {
	f.host("STRIPE_API_URL", environment, s.APIURL, "api.stripe.com")
	f.host("STRIPE_CONNECT_URL", environment, s.ConnectURL, "connect.stripe.com")
	f.atLeast("STRIPE_TIMEOUT", s.Timeout, time.Second)
	f.atLeast("STRIPE_IDEMPOTENCY_WINDOW", s.Window, time.Minute)
	if s.Window > maxWindow {
		f.add("STRIPE_IDEMPOTENCY_WINDOW", "must be at most 23h: Stripe may forget a key after 24 hours")
	}
}

// retention refuses ages at which a production system would forget callers' Idempotency-Keys while they are still in use.
func (f *faultList) retention(environment Environment, age Age) {
	least := time.Second
	if environment == Production {
		least = minRetention
	}
	if age != 0 && time.Duration(age) < least {
		f.add("TASK_RETENTION", fmt.Sprintf("must be 0, for ever, or at least %s", least))
	}
}

// host refuses to send merchants' tokens anywhere but to Stripe, unless it is this machine or a development setup.
func (f *faultList) host(variable string, environment Environment, address, stripe string) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" ||
		(parsed.Scheme != "http" && parsed.Scheme != "https") || strings.Trim(parsed.Path, "/") != "" {
		f.add(variable, "must be an http or https URL of a host")
		return
	}
	host := parsed.Hostname()
	ip := net.ParseIP(host)
	loopback := host == "localhost" || (ip != nil && ip.IsLoopback())
	switch {
	case loopback:
	case host == stripe && parsed.Scheme != "https":
		f.add(variable, "must use https")
	case host != stripe && environment != Development:
		f.add(variable, "must be Stripe's host, or on loopback, outside development")
	}
}

func (f *faultList) address(variable, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		f.add(variable, "must be host:port")
	}
}

func (f *faultList) between(variable string, value, low, high int) {
	if value < low || value > high {
		f.add(variable, fmt.Sprintf("must be between %d and %d", low, high))
	}
}

func (f *faultList) atLeast(variable string, value, low time.Duration) {
	if value < low {
		f.add(variable, fmt.Sprintf("must be at least %s", low))
	}
}
