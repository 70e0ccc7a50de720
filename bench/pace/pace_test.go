package pace_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"billonce/bench/pace"
)

func TestRunDoesNotWaitForSlowOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		starts := map[int]time.Duration{}
		err := pace.Run(t.Context(), 10, 100, func(_ context.Context, i int) error {
			mu.Lock()
			starts[i] = time.Since(began)
			mu.Unlock()
			time.Sleep(time.Second)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, start := range starts {
			if want := time.Duration(i) * 10 * time.Millisecond; start != want {
				t.Errorf("number %d began after %s, want %s", i, start, want)
			}
		}
		if len(starts) != 10 {
			t.Errorf("%d of 10 were done", len(starts))
		}
	})
}

func TestTheFirstErrorEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		n := 0
		err := pace.Run(t.Context(), 1000, 100, func(context.Context, int) error { n++; return broken })
		if !errors.Is(err, broken) || n > 2 {
			t.Errorf("error %v after %d calls", err, n)
		}
	})
}
