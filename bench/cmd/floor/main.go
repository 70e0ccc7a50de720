// Command floor drains the floor's table as a process of its own, so that its CPU is counted like everybody's.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/lib/pq" // registers the driver

	"billonce/bench/floor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	connections := flag.Int("connections", 4, "connections that claim and complete")
	batch := flag.Int("batch", 250, "tasks in a batch")
	flag.Parse()
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL")+"&binary_parameters=yes")
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	n, err := floor.Drain(ctx, db, *connections, *batch)
	if err != nil {
		return err
	}
	fmt.Println("completed", n)
	<-ctx.Done() // as a worker would
	return nil
}
