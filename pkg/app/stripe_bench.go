//go:build bench

package app

import (
	"runtime"
	"time"

	"billonce/pkg/gateway"
	"billonce/pkg/worker"
)

func stripeOf(real *gateway.Gateway) worker.Gateway {
	runtime.SetBlockProfileRate(int(time.Millisecond)) // a sample for each millisecond of waiting
	runtime.SetMutexProfileFraction(100)
	if gateway.InMemory() {
		return gateway.Memory{Gateway: real}
	}
	return real
}
