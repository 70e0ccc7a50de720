package stage

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// profileTime is how long a CPU profile is taken, from the moment at which a worker is ready: longer than a drain, and while a worker
// waits, it leaves no trace.
const profileTime = 12 * time.Second

// profiler takes the profiles of one worker process into files beside one another: CPU from its start, allocations and blocking when
// it is about to be stopped.
type profiler struct {
	url, prefix string
	cpu         sync.WaitGroup
	err         error
}

// newProfiler begins with the CPU. The process is profiled until stop.
func newProfiler(ctx context.Context, url, folder string, serial int) (*profiler, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of the profiles: %w", err)
	}
	p := &profiler{url: url, prefix: filepath.Join(folder, fmt.Sprintf("worker-%03d-", serial))}
	p.cpu.Go(func() { p.err = p.fetch(ctx, fmt.Sprintf("profile?seconds=%.0f", profileTime.Seconds()), "cpu") })
	return p, nil
}

// stop takes what is taken at the end. A worker that ends before its CPU profile does is waited for.
func (p *profiler) stop(ctx context.Context) error {
	for _, kind := range []string{"allocs", "block", "mutex"} {
		if err := p.fetch(ctx, kind, kind); err != nil {
			return err
		}
	}
	p.cpu.Wait()
	return p.err
}

func (p *profiler) fetch(ctx context.Context, from, kind string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/debug/pprof/"+from, nil)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	file, err := os.Create(p.prefix + kind + ".pprof")
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if _, err := io.Copy(file, response.Body); err != nil {
		_ = file.Close()
		return fmt.Errorf("profile: %w", err)
	}
	return file.Close()
}
