package billing

import "time"

// Moved is what one batch of retention moved out of the queue's tables.
type Moved struct {
	Tasks   int       // how many
	Last    time.Time // run_at of the last one, where the next batch goes on; zero when there was none
	Workers int       // living workers, who share the work
}
