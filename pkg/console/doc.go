// Package console serves the pages for operators: how billonce does, what became of each task and why, and the few things that a
// person may do about it.
//
// It promises:
//   - It is a client of the API, called within the same process. What a key may see and do there, it may see and do here; what it does
//     is in the audit log as what a program does.
//   - Nothing is shown to whoever is not signed in but the sign-in page and what that page is made of. A session ends with its key, and when
//     nobody has used it for an hour; an open page does not use it. Who makes sessions up soon costs no read of the database.
//   - Each action shows first what will happen and what is so now, asks for a reason, and is refused if things have changed since.
//   - Everything works without JavaScript, from the keyboard, and for who cannot see it. No page runs a script, or loads anything,
//     that is not embedded here.
//   - What the API cannot answer is said on a page with the fitting status. Nothing is asked again by itself but what is shown live.
//
// It never knows a merchant's token, never shows a value of a task's params that could be a card's, a bank account's or a secret, and
// never keeps a key: of a session it keeps the hash.
package console
