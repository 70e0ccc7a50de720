// Command stripesim serves the Stripe simulator of pkg/stripesim: for development, demonstrations and tests.
//
//	stripesim [-addr 127.0.0.1:12111] [-latency 0s] [-jitter 0s] [-platform-key KEY] [-seed N] [switches]
//	stripesim healthcheck    exit 0 if the one at the address answers, else 1
//
// The switches, for what Stripe does not document and for what it lets happen to events, keys and connections, are told by
// -h. The variable STRIPESIM_NAME_OF_FLAG is the default of -name-of-flag: STRIPESIM_ADDR, STRIPESIM_LATENCY,
// STRIPESIM_EVENT_LAG and so on; a value that makes no sense ends the program with code 78. What runs can be switched over
// by POST /_sim/switches.
//
// SIGTERM and SIGINT stop it: requests under way are answered, late commits committed. A second signal exits at once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal does what it does by default
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stderr))
}
