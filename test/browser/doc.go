// Package browser shows the console as a person meets it: in a real Chromium, served by the real programs on a real PostgreSQL, with
// the simulator in place of Stripe.
//
// It promises that every test fails on an error in the browser's console, on a violation of the content security policy and on a page
// that does not answer as expected, and that a missing browser is a failure and never a skip. It has tests only, and a module of its
// own: what drives the browser is no part of the product, nor of what its go.mod has to answer for.
package browser
