package app

import (
	"runtime/debug"

	"billonce/pkg/config"
)

// What a worker may use, in bytes. The limit must lie above what its calls in flight keep alive: below, the collector runs without
// end, and what it costs goes with each slot's three stacks. Above, every further byte makes collections rarer.
const (
	slotRoom      = 48 << 10  // for one call in flight, and garbage beside it
	slotNeed      = 24 << 10  // the least for one call in flight
	roomyLimit    = 100 << 20 // where more room gives little; resident is a tenth more, for the program itself
	workerPercent = 400       // GOGC: the limit, not the percentage, is to say when to collect
)

// workerLimit is the soft memory limit of a worker with so many slots.
func workerLimit(slots int) int64 {
	return max(min(softMemoryLimit+slotRoom*int64(slots), roomyLimit), slotNeed*int64(slots))
}

// collectLess gives a worker room for its slots. GOMEMLIMIT and GOGC override it, each its own part.
func collectLess(environ []string, slots int) {
	if config.Lookup(environ, "GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(workerLimit(slots))
	}
	if config.Lookup(environ, "GOGC") == "" {
		debug.SetGCPercent(workerPercent)
	}
}
