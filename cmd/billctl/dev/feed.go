package dev

import (
	"context"
	"fmt"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const (
	feedPoll  = 250 * time.Millisecond
	feedDepth = 200 // the newest tasks that the feed looks at
)

// feed tells of tasks as they finish.
type feed struct {
	stack *stack
	names map[string]string // of merchants, by id
	told  map[string]bool
}

// newFeed returns a feed that tells of what finishes from now on.
func (s *stack) newFeed(ctx context.Context, merchants map[string]client.Merchant) (*feed, error) {
	f := &feed{stack: s, names: map[string]string{}, told: map[string]bool{}}
	for _, merchant := range merchants {
		f.names[merchant.ID] = merchant.Name
	}
	tasks, err := f.newest(ctx)
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		f.told[task.ID] = settled(task)
	}
	return f, nil
}

// run prints until ctx ends. An API that does not answer for a moment is no end: its process is watched elsewhere.
func (f *feed) run(ctx context.Context) {
	poll := time.NewTicker(feedPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
		tasks, err := f.newest(ctx)
		if err != nil {
			continue
		}
		for i := len(tasks) - 1; i >= 0; i-- {
			if task := tasks[i]; settled(task) && !f.told[task.ID] {
				f.told[task.ID] = true
				_, _ = fmt.Fprintln(f.stack.opts.Out, f.line(task))
			}
		}
	}
}

func (f *feed) newest(ctx context.Context) ([]client.Task, error) {
	page, err := f.stack.api.ListTasks(ctx, client.ListTasksQuery{Limit: feedDepth})
	return page.Data, err
}

// settled reports whether no worker will touch the task again.
func settled(task client.Task) bool { return task.Status.Terminal() || task.Status == billing.InDoubt }

func (f *feed) line(task client.Task) string {
	at := task.UpdatedAt
	if task.FinishedAt != nil {
		at = *task.FinishedAt
	}
	return strings.TrimRight(fmt.Sprintf("  %s  %-9s  %-28s  %-18.18s  %s",
		at.Local().Format(time.TimeOnly), task.Status, task.Kind, f.name(task.MerchantID), said(task)), " ")
}

// name returns the merchant's name, or its id when it came later than the feed.
func (f *feed) name(id string) string {
	if name := f.names[id]; name != "" {
		return name
	}
	return id
}

// said is what Stripe made of the task.
func said(task client.Task) string {
	switch {
	case task.Result != nil:
		return strings.TrimSpace(task.Result.ID + " " + task.Result.Status)
	case task.LastError != nil:
		parts := []string{}
		for _, part := range []string{task.LastError.Type, task.LastError.Code, task.LastError.DeclineCode} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, " ")
	default:
		return ""
	}
}
