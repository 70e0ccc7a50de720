// Package transport tests that the services reach PostgreSQL over TLS: a real server with a certificate of an authority that the
// test makes. It promises that nothing of it outlives the test.
package transport
