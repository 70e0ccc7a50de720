// Package stripesim is a Stripe that keeps its books: a stateful simulator of the API version 2023-10-16, in memory, over
// HTTP.
//
// A request passes the same steps, in the same order, as at Stripe: the edge, authentication, the limiter, validation, the
// idempotency key, the object's lock, execution, commit, answer. What is refused before the key is not remembered; what
// comes after it is, declines and server errors included, and is replayed byte for byte. Each execution that changes
// objects or money enters exactly one [Effect] into an append-only ledger, together with the key under which it came: to
// prove that a task took effect exactly once is to count the ledger.
//
// As at Stripe, a DELETE has no key: the header is noted in the ledger and in its events, so that audits find it, and
// otherwise ignored. Whether Stripe's events name it is not documented: see [Config.BareDeleteEvents].
//
// Latency passes between taking the key and the effect: meanwhile the key answers 409, the object is locked, and a client
// that leaves does not stop the effect. Replays have none.
//
// Faults can be scripted for every point of a request's way: see [Fault]. A [Plan] draws them instead, from a seed, so that
// the same requests meet the same faults in whatever order they come. What Stripe does not document, and what it lets
// happen to events, keys and connections, are [Switches].
//
// # Audits
//
// A proof asks three things of the simulator after the fact. That nothing can take effect any more: [Simulator.Active] is
// 0. What took effect: [Simulator.Ledger]. What the clients did, for each idempotency key and however long ago:
// [Simulator.Keys], which tells of the requests, their distinct contents, the answers that left and the faults between.
// Count effects, never requests: net/http sends a request again by itself when a kept-alive connection dies under it.
//
// The simulator never bills by itself: moving its clock expires keys, it does not renew subscriptions. It never tells one
// client from another, it never writes to disk, and it is never to be reached from outside: its control routes ask for no
// credentials.
//
// # Credentials
//
// The platform's key ([Config.PlatformKey]) speaks for the platform, or with the header Stripe-Account for any acct_… that
// has not been revoked. A token sk_test_acct_X or sk_live_acct_X is known as that of account acct_X in that mode; other
// tokens are registered first. Unknown and revoked ones answer 401.
//
// # Fixtures
//
// Every account has the customers cus_ok, cus_declined and cus_action, whose default payment methods are pm_ok,
// pm_decline_insufficient_funds and pm_action, and the prices price_basic (15.00 USD a month) and price_yearly (150.00 USD
// a year). A payment method's name is its script: pm_ok pays, pm_decline_CODE declines with that code, pm_action asks for
// the customer, pm_processing leaves the payment under way; Stripe's pm_card_visa and its like work too. Further objects
// come from the API itself, or with ids of one's choice from [Simulator.Seed].
//
// # Control routes
//
// All speak JSON; durations are written as in Go, "1.5s".
//
//	GET    /_sim/healthz
//	GET    /_sim/ledger[?key=&account=&op=&after=]   {"data":[effect, …]}
//	GET    /_sim/requests[?key=]                     {"data":[request, …]}
//	GET    /_sim/clock                               {"now":"…"}
//	POST   /_sim/clock                               {"advance":"24h"}
//	GET    /_sim/latency                             {"data":[{"op":"","fixed":"0s","jitter":"0s"}]}
//	POST   /_sim/latency                             {"op":"invoice.pay","fixed":"2s","jitter":"0s"}; op "": all others
//	GET    /_sim/faults                              what can still strike
//	POST   /_sim/faults                              {"faults":[{"kind":"drop_after","op":"invoice.pay","nth":1,"times":1}]}
//	DELETE /_sim/faults
//	GET    /_sim/plan                                {"plan":{…}|null,"requests":0,"struck":{"drop_after":1}}
//	POST   /_sim/plan                                {"seed":42,"rates":{"drop_after":0.03,"stall":0.01},"delay":"1s","events_lag":"1h"}
//	DELETE /_sim/plan                                ends it and shows what had become of it
//	GET    /_sim/switches                            how they stand
//	POST   /_sim/switches                            {"event_lag":"1m","mismatch_first":true}: changes those that it names
//	GET    /_sim/keys[?after=&limit=]                {"data":[use, …],"has_more":false}, by first arrival; after: a key; limit: 1000, up to 10000
//	GET    /_sim/active                              {"active":0}: requests that have not come to their end
//	GET    /_sim/held                                {"held":1}: calls that a fault holds
//	POST   /_sim/release                             lets them go on
//	POST   /_sim/accounts                            {"token":"sk_test_x","account":"acct_x","livemode":false}
//	POST   /_sim/accounts/{id}/revoke                its tokens answer 401, the platform's key 403
//	POST   /_sim/accounts/{id}/restore
//	POST   /_sim/tokens/revoke                       {"token":"sk_test_x"}
//	POST   /_sim/fixtures                            {"account":"acct_x","livemode":false,"objects":[{"object":"invoice","id":"in_1","status":"open","amount":2000}]}
//	POST   /_sim/external                            {"account":"acct_x","op":"invoice.pay","id":"in_1","params":"a=b"}: somebody else's doing
//	POST   /_sim/clear                               {"account":"acct_x","id":"in_1","decline":""}: a debit under way clears, or fails with the code
//	POST   /_sim/reset
package stripesim
