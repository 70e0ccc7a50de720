// Command api takes tasks over HTTP and keeps them in PostgreSQL. It never calls Stripe.
//
// The environment configures it; README.md lists the variables.
package main

import (
	"os"

	"billonce/pkg/app"
)

func main() {
	os.Exit(app.Main(app.API(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
