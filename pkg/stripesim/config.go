package stripesim

import (
	"log/slog"
	"time"
)

// APIVersion is the only version of Stripe's API that the simulator speaks. A request for another is refused.
const APIVersion = "2023-10-16"

// DefaultPlatformKey is the platform's secret key where [Config.PlatformKey] says nothing.
const DefaultPlatformKey = "sk_test_platform"

// Config sets a simulator up. The zero value is a quick, faultless Stripe in test mode.
type Config struct {
	PlatformKey string           // the platform's secret key; "": [DefaultPlatformKey]
	Latency     Latency          // of every call that has none of its own
	KeyTTL      time.Duration    // how long a key is remembered; 0: 24 h, Stripe's own
	Now         func() time.Time // the clock that [Simulator.Advance] moves; nil: time.Now
	Seed        uint64           // of random faults, jitter and identifiers; 0: another one each time
	Log         *slog.Logger     // control calls and late commits; nil: none

	RateLimit int           // calls that an account is served each second, by the simulator's clock, before 429; 0: any number
	LimitFor  string        // the account that RateLimit is for, as Stripe's limits differ from one to another; "": each
	LockWait  time.Duration // how long a call waits for a busy object before 429 lock_timeout; 0: 2 s, negative: not at all
	PruneLate time.Duration // up to how much longer than KeyTTL a key is remembered, drawn for each key
	EventLag  time.Duration // how much later than its cause an event is listed, by the simulator's clock
	SearchLag time.Duration // how much later than its creation an object is found by search, by the simulator's clock

	// How likely, 0 to 1, an event is never listed, is listed as two events with an id each, or is listed up to five places
	// too early, before older ones. Drawn from the seed and the event's cause, whatever happens beside it.

	EventDrops, EventDuplicates, EventDisorder float64

	// Switches for what Stripe does not document.

	StoreLockTimeouts bool // keep a 429 lock_timeout under its key, as was seen in production
	MismatchFirst     bool // a running key sent with other parameters answers 400 rather than 409
	KeysPerAuthMode   bool // a key sent with a merchant's token and with the platform's key is two keys
	BareFromSchedule  bool // from_subscription tolerates no other parameter, not even metadata
	StoreInvalid      bool // keep a 400 for its parameters under the key of a POST, instead of leaving the key free
	BareDeleteEvents  bool // the events of a DELETE do not name the key that it carried
	NoKeepAlive       bool // end every connection with its first answer, so that net/http never sends a request again by itself

	KeepRequests int // entries of the request log kept, the newest; 0: 200,000
	KeepEvents   int // events kept for each account, the newest; 0: 100,000
}

// Latency is how long a call takes between claiming its key and taking effect.
type Latency struct {
	Fixed  time.Duration
	Jitter time.Duration // a random part of this is added
}

const (
	defaultKeyTTL       = 24 * time.Hour
	defaultLockWait     = 2 * time.Second
	defaultKeepRequests = 200_000
	defaultKeepEvents   = 100_000
)

func (c Config) withDefaults() Config {
	if c.PlatformKey == "" {
		c.PlatformKey = DefaultPlatformKey
	}
	if c.KeyTTL == 0 {
		c.KeyTTL = defaultKeyTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.LockWait == 0 {
		c.LockWait = defaultLockWait
	}
	if c.KeepRequests == 0 {
		c.KeepRequests = defaultKeepRequests
	}
	if c.KeepEvents == 0 {
		c.KeepEvents = defaultKeepEvents
	}
	return c
}
