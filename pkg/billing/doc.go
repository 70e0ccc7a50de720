// Package billing is the vocabulary of billonce: what a merchant, a task, its status, an attempt and an outcome are, and
// which changes between them are allowed.
//
// It promises to be pure: no I/O, no clock, no goroutine, no logging, nothing but the standard library and
// [billonce/pkg/secret]. Every other room speaks its words and none of them is imported here.
//
// A Task is one mutating call to Stripe that a merchant wants made once. Its statuses:
//
//	pending ──▶ running ──▶ succeeded   exactly one effect at Stripe
//	   ▲  │        │ ├────▶ failed      known not to have happened
//	   │  │        │ └────▶ in_doubt    nobody can know without looking at Stripe
//	   │  ▼        │            └─────▶ succeeded | failed, by a person or by a later look
//	   │ canceled  │
//	   └───────────┘  to be sent again, under the same idempotency key
package billing
