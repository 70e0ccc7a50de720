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

// WorkerStanding is a worker as it stands in the list.
type WorkerStanding struct {
	Worker
	Busy        int // tasks that it carries out now
	StartedAt   time.Time
	HeartbeatAt time.Time
	Alive       bool // it has kept its lease
	Draining    bool // it only ends what it has begun
}

// Takeover is what became of the tasks of workers that fell silent.
type Takeover struct {
	Tasks   int       // given back, or put in doubt
	Doubted []Doubted // those that had no attempt left
}

// Doubted names a task that was put in doubt, for a log.
type Doubted struct {
	ID         TaskID     `db:"id"`
	MerchantID MerchantID `db:"merchant_id"`
	Kind       Kind       `db:"kind"`
	Attempt    int        `db:"attempt"`
	Worker     WorkerID   `db:"worker_id"`
}
