// Package chaos proves the promise of the contract with everything going wrong at once: real processes, a PostgreSQL of its
// own and the simulator, killed, frozen, cut off and restarted at random, and every task held against the simulator's books
// afterwards.
//
// It has tests only. `make chaos SEEDS=100` runs a hundred seeds; `make test` runs one, and the deterministic ones of what
// any seed has ever found. A run prints its seed; CHAOS_SEED=n repeats what chance decides, though not how the machine
// schedules it.
package chaos
