package billing

import "time"

// Worker is one life of one worker process.
type Worker struct {
	ID          WorkerID
	Hostname    string
	PID         int
	Version     string
	Concurrency int           // tasks in flight at most
	Lease       time.Duration // silent for this long, it has lost its tasks
}
