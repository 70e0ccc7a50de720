// Package protocol is a model of how one task is carried out: two workers, the database's row, the network, Stripe's record of
// the key, and time. It is small enough to be checked whole.
//
// It promises to visit every state that can be reached by any order of claims, sends, losses, crashes, take-overs, late answers,
// stored server errors, looks and hours passing; to check in each that there is at most one effect and that the status tells the
// truth about it; and to check that no task is stuck. Every rule that this rests on can be taken away, to see it fail.
//
// It never runs the product's code. What an answer proves and what becomes of a task are tables here ([Proves], [Becomes],
// [Concludes]); tests in gateway and worker hold their code against these tables. docs/model.md says what is assumed.
package protocol
