package billing

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
)

// MaxAttemptsLimit bounds max_attempts; DefaultMaxAttempts is used when a task names none. With the default back-off a
// hundred attempts last about eleven hours, so an outage of Stripe does not turn into failed tasks.
const (
	MaxAttemptsLimit   = 1000
	DefaultMaxAttempts = 100
)

// Request is the HTTP request that a task sends, frozen when the task is scheduled. Every send of the task uses these
// bytes; they are never computed again.
type Request struct {
	Method     string // POST or DELETE
	Path       string // "/v1/invoices/in_123/pay"
	Body       string // application/x-www-form-urlencoded, may be empty
	APIVersion string // Stripe-Version, "2023-10-16"
}

// Hash identifies the request's bytes.
func (r Request) Hash() [sha256.Size]byte {
	var usual [512]byte // of most requests; a larger one is put together on the heap
	text := usual[:0]
	for _, part := range [...]string{r.Method, r.Path, r.APIVersion, r.Body} {
		text = append(append(text, part...), 0)
	}
	return sha256.Sum256(text)
}

// For returns the request of a task that repeats another one: the same bytes, except that a creating kind marks what it
// makes with the new task's id.
func (r Request) For(old, next TaskID) Request {
	r.Body = strings.ReplaceAll(r.Body, string(old), string(next))
	return r
}

// NewTask is a task to be scheduled, already checked and frozen.
type NewTask struct {
	ID          TaskID
	MerchantID  MerchantID
	Kind        Kind
	Target      string            // id of the object acted on, "" for creating kinds
	Params      json.RawMessage   // as submitted, a JSON object
	Metadata    map[string]string // the caller's own notes; never sent to Stripe
	RunAt       time.Time         // zero: now
	MaxAttempts int               // 1 to MaxAttemptsLimit
	Request     Request
	RetryOf     TaskID // "" unless the task repeats another
	Intent      string // what is to happen once, in the caller's words; "" for none
	OnDecline   *Dunning
	Declines    int    // declines that led to this task
	CreatedBy   string // [Actor.Line] of who asks for it; "" for nobody

	// TraceContext names the span of the request that schedules it: a W3C traceparent, and after a space its tracestate if it has one.
	// It is "" while nobody follows requests.
	TraceContext string

	// Key is the caller's Idempotency-Key, "" for none; Fingerprint tells whether two requests under one key are the same.
	Key         string
	Fingerprint []byte
}

// Task is a scheduled task as it stands. All times are UTC and come from the database's clock.
type Task struct {
	ID           TaskID
	MerchantID   MerchantID
	Kind         Kind
	Target       string
	Params       json.RawMessage
	Metadata     map[string]string
	Status       Status
	RunAt        time.Time // when it may run next
	ScheduledFor time.Time // when the caller asked for it to run
	Attempt      int       // attempts begun so far
	MaxAttempts  int
	RetryOf      TaskID
	RetriedBy    TaskID // the task that repeats this one, "" for none
	Intent       string
	OnDecline    *Dunning
	Declines     int        // declines that led to this task: its place in OnDecline
	FirstSentAt  *time.Time // since when something may have reached Stripe; nil: nothing has
	Result       *Result
	LastError    *StripeError
	CreatedAt    time.Time
	UpdatedAt    time.Time
	FinishedAt   *time.Time // set exactly when Status is terminal
	WaitingSince *time.Time // set while another task acts on the same object
	LookAt       *time.Time // when Stripe is looked at next, while Status is InDoubt; nil: a person decides
	Resolution   *Resolution
}

// AttemptKind tells a send from a look.
type AttemptKind string

// The kinds of attempts.
const (
	AttemptSend AttemptKind = "send" // or a claim that ended otherwise
	AttemptLook AttemptKind = "look" // Stripe was only read
)

// Attempt is one send of a task, one claim that ended otherwise, or one look at Stripe. Attempts are only ever added.
type Attempt struct {
	Number     int
	Kind       AttemptKind
	WorkerID   WorkerID
	StartedAt  time.Time
	FinishedAt time.Time
	Outcome    Outcome
	Reason     Reason
	Replayed   bool
	Error      *StripeError // nil on success
	RequestID  string
	Evidence   []Evidence // of a look
}

// AuthMode is the way in which a merchant's calls are authenticated. It never changes between the sends of one task.
type AuthMode string

// The ways of authentication.
const (
	// AuthToken uses the merchant's own access token and no Stripe-Account header.
	AuthToken AuthMode = "token"
	// AuthPlatform uses the platform's secret key and the Stripe-Account header.
	AuthPlatform AuthMode = "platform"
)

// Claim is a task in the hands of one worker. (Worker, Attempt) is the fencing token: a settlement that names another pair
// than the database holds changes nothing.
type Claim struct {
	ID           TaskID
	MerchantID   MerchantID
	Merchant     MerchantVersion // which state of the merchant the claim saw
	Kind         Kind
	Target       string
	Request      Request
	RequestHash  []byte // as stored when the task was scheduled
	Worker       WorkerID
	Attempt      int
	MaxAttempts  int
	Released     int // attempts given back before anything was sent; they do not count against MaxAttempts
	ScheduledFor time.Time
	ClaimedAt    time.Time     // by the database's clock
	Auth         AuthMode      // recorded by the first claim that may have sent
	Account      string        // recorded by the first claim that may have sent
	Lag          time.Duration // how long after run_at the claim was made, by the database's clock
	Resend       bool          // an earlier attempt may have reached Stripe: its unknown outcome sticks
	SinceSent    time.Duration // age of first_sent_at at the claim, by the database's clock; 0 unless Resend
	OnDecline    *Dunning
	Declines     int
	TraceContext string // as [NewTask] has it; a task that follows a decline has that of the first
}

// Exhausted reports whether the claim is the task's last permitted attempt.
func (c Claim) Exhausted() bool { return c.Attempt-c.Released >= c.MaxAttempts }

// Settlement is what a worker decides about a claim.
type Settlement struct {
	ID      TaskID
	Worker  WorkerID
	Attempt int
	Status  Status        // Pending (to be sent again), Succeeded, Failed or InDoubt
	Delay   time.Duration // until the next attempt when Status is Pending, until Stripe is looked at when it is InDoubt
	// Unsent is true when nothing can have reached Stripe in this attempt. If nothing did before either, first_sent_at is
	// cleared and the task may be canceled again.
	Unsent bool
	// SentEarlier is true when nothing was sent as far as this database knows, and an earlier life of it may have sent the task,
	// at the time for which it was scheduled at the earliest. first_sent_at is set to that time then.
	SentEarlier bool
	ClaimedAt   time.Time
	Answer      Answer
	Next        *Successor // set when a decline is followed up
}

// Successor is the task that follows up a decline. Everything but these fields it takes over from the declined one.
type Successor struct {
	ID      TaskID
	Request Request
	After   time.Duration // from the settlement on
}

// Batch is what one claim brought.
type Batch struct {
	Claims   []Claim
	Seen     int           // due tasks that the claim looked at, those too that it put aside
	Parked   int           // of these, the ones beyond their merchant's limits
	More     bool          // another claim is worth making at once
	At       time.Time     // of the claim, by the database's clock
	NextDue  time.Duration // from then until the next claim is worth making, if Foreseen
	Foreseen bool          // false: nothing is due later, or it was not looked for because More
}
