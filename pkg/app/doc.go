// Package app is the only room that sees all rooms: it builds the two services out of them and runs them.
//
// It promises that whatever was started is stopped, last in first out, before a service's run returns, and that a
// configuration that cannot work ends with exit code 78 before anything was touched.
//
// It never holds a business rule.
package app
