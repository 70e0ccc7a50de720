package client

import (
	"context"
	"errors"
	"iter"
)

// EventsOnce is [Client.Events] over one connection.
func EventsOnce(ctx context.Context, c *Client) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &following{client: c}
		if err := f.once(ctx, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Event{}, err)
		}
	}
}
