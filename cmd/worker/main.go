// Command worker claims due tasks from PostgreSQL and carries each one out at Stripe, once.
//
// The environment configures it; README.md lists the variables. Start as many as you need.
package main

import (
	"os"

	"billonce/pkg/app"
)

func main() {
	os.Exit(app.Main(app.Worker(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
