//go:build bench

package app

import (
	"billonce/pkg/gateway"
	"billonce/pkg/worker"
)

func stripeOf(real *gateway.Gateway) worker.Gateway {
	if gateway.InMemory() {
		return gateway.Memory{Gateway: real}
	}
	return real
}
