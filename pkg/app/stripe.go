//go:build !bench

package app

import (
	"billonce/pkg/gateway"
	"billonce/pkg/worker"
)

// stripeOf is how the worker reaches Stripe. The benchmark build has another one, which can answer in memory.
func stripeOf(real *gateway.Gateway) worker.Gateway { return real }
