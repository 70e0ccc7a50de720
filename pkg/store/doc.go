// Package store is the only room that speaks SQL.
//
// It promises:
//   - Tokens are sealed, for their row and column, before they reach PostgreSQL, and handed out only by [Store.GetMerchant],
//     [Store.GetMerchants] and [Store.GetMerchantByStripeUserID]. No other code sees ciphertext.
//   - A token that is stored while [Store.Reseal] runs is never undone.
//   - The database decides what is due, who owns a task and what time it is. Every UPDATE of a task states the status,
//     worker and attempt that it expects; what it did not change is reported, never assumed.
//   - A claim is durable, first_sent_at included, before it is returned: whoever holds a [billing.Claim] may send.
//   - A change that an actor asks for ([billing.WithActor]) is recorded in the transaction that makes it, or not made; who asks for a
//     task is kept in its row. API keys are known by their hashes alone.
//   - Statements that must not run twice go through one pinned connection: database/sql silently repeats a statement on
//     another connection when lib/pq reports a dead one after the server has committed (lib/pq#939).
//
// It never decides policy (what to retry, how long to wait), never calls the network inside a transaction and never logs.
package store
