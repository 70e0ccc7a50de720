// Command billctl operates billonce: tasks and merchants over the HTTP API, the schema, the secrets of an installation, and
// a whole stack on a developer's machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"billonce/cmd/billctl/cli"
)

func main() {
	os.Exit(run())
}

// run turns signals into the end of the context that every command obeys.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], cli.Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Lookup: os.LookupEnv, Now: time.Now,
	})
}
