// Package gateway speaks to Stripe, and is the only room that does.
//
// A [Freezer] turns what a merchant asks for into the exact HTTP request that will carry it out, when the task is
// scheduled: parameters are read strictly against stripe-go's own parameter structs, so that a misspelled name is
// refused at once and not at three in the morning, and the encoded bytes are kept with the task. A [Gateway] sends
// those bytes, as they are, and says what the answer proves.
//
// It promises that one call of [Gateway.Execute] is at most one mutating request, that no mutating request leaves without
// the task's idempotency key, and that an answer which does not prove what happened is [billing.OutcomeUnknown]. In
// particular an unknown outcome is sticky: the answer to a re-send settles the task only if it is a success, a decline, or
// Stripe's record of the first send.
//
// It never retries, follows a redirect, remembers a merchant's token, logs, or keeps a sentence that Stripe wrote: those may
// hold customers' data and client secrets.
package gateway
