// Package worker carries out due tasks: claim, send, settle.
//
// It promises:
//   - Nothing is sent but what a claim made durable first, under the task's own key, with the bytes frozen when the task
//     was scheduled, as the account and with the way of authentication of the first send.
//   - No call is begun once the worker's lease may have run out, nor after the idempotency window of the first send. One that was begun may
//     wait for a connection for some seconds; it leaves under the same key.
//   - What a worker learns about a task that it has lost changes nothing.
//   - An answer that leaves doubt never becomes failed.
//   - Run returns only when every goroutine that it started has ended.
//
// What a crash leaves behind, step by step:
//
//	before the claim commits      the task is pending, nothing was sent
//	after the claim, before send  the task is running under a worker that falls silent; after the lease it goes back to
//	                              pending with first_sent_at set, and is sent again under the same key
//	during the send               the same; Stripe answers the second send from its record of the first, or with 409 while
//	                              the first is still going on
//	after the answer              the same; Stripe repeats the answer
//	after the settlement          nothing is left to do
//
// It never decides what is due or what time it is (the database does), never speaks SQL or HTTP itself, and never retries
// inside one attempt.
package worker
