// Package dev runs a whole billonce on one machine: database, simulator, API and workers, as real processes.
//
// It promises that all of it listens on loopback only, that nothing of it is left running when Run, Demo, Exec or Database
// return, and that a part which ends by itself is told with its last lines and ends the rest. Secrets of the stack lie under
// .dev, readable by their owner alone.
//
// It never uses Stripe itself: the services are given the simulator's address and keys, whatever the environment says.
package dev
