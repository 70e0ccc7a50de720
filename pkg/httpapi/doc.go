// Package httpapi serves billonce over HTTP: it reads requests strictly, hands them to the ports, and words the answers.
//
// It promises:
//   - Every error is an application/problem+json document made from one table, whoever made the error: a handler, the
//     router, the body limit or a panic. None repeats what was submitted, and none shows the cause of a fault of ours.
//   - A request that is refused has called no port that writes.
//   - A body is read in one way only: what a second reader could understand otherwise (a key given twice, a key in other
//     letters, text after the value, NUL, half of a surrogate pair) is refused with a pointer to the place.
//   - Merchants' tokens go in and never come out. An API key comes out once, in the answer that makes it; what is kept is its hash.
//   - A route asks for one scope, and lets nobody in who lacks it. A caller with a key for one merchant learns nothing of the others.
//   - Every change is made under the actor of its request ([billing.WithActor]), so that whoever makes it can record it.
//   - A stream of events tells every change that its caller may know of, or says that it does not; nobody waits for its reader.
//   - Run returns when the last request is answered, or with an error when it had to cut one off.
//
// It never opens a token, never trusts a forwarded header of a peer that is not configured, never retries, and holds no state of
// tasks or merchants; of keys it holds hashes, for seconds.
package httpapi
