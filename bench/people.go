package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"billonce/bench/stage"
)

// people are those who have the console open. Each has signed in, holds the stream of events open as a page does, and has the part of
// its page that changes shown anew every one to two seconds, which is what a page does when something happens all the time. Now and
// then each goes on to another page.
type people struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	group  sync.WaitGroup
	shown  atomic.Int64
}

// consolePages are what they look at.
var consolePages = []string{"/", "/tasks", "/attention", "/tasks?status=pending", "/workers", "/tasks?status=succeeded"}

const (
	refreshLeast = time.Second
	refreshMost  = 2 * time.Second
	pageStays    = 5 // times that it is shown anew before its reader goes on
)

// enterConsole signs people in, and has them look until they are told to leave.
func enterConsole(ctx context.Context, api *stage.API, n int) (*people, error) {
	p := &people{}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	for i := range n {
		one := &person{base: api.URL, web: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 4}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
		if err := one.signIn(ctx, api.Key); err != nil {
			_, ended := p.leave()
			return nil, errors.Join(fmt.Errorf("sign person %d in: %w", i, err), ended)
		}
		p.group.Go(func() { p.end(one.listen(p.ctx)) })
		p.group.Go(func() { p.end(one.look(p.ctx, i, &p.shown)) })
	}
	return p, nil
}

// end ends the visit of all for a reason.
func (p *people) end(err error) {
	if err != nil && p.ctx.Err() == nil {
		p.cancel(err)
	}
}

var errLeave = errors.New("the visit is over")

// leave ends the visit, and returns how many pages and parts of pages were shown. The error says that somebody was not served.
func (p *people) leave() (shown int64, err error) {
	p.cancel(errLeave)
	p.group.Wait()
	if cause := context.Cause(p.ctx); !errors.Is(cause, errLeave) {
		err = fmt.Errorf("at the console: %w", cause)
	}
	return p.shown.Load(), err
}

type person struct {
	base   string
	cookie string
	web    *http.Client
}

func (o *person) signIn(ctx context.Context, key string) error {
	form := strings.NewReader(url.Values{"key": {key}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.base+"/sign-in", form)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := o.web.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	for _, cookie := range answer.Cookies() { // Go's jar would not send it without TLS
		o.cookie = cookie.Name + "=" + cookie.Value
	}
	if o.cookie == "" {
		return fmt.Errorf("answered %s without a cookie", answer.Status)
	}
	return nil
}

// look shows page after page.
func (o *person) look(ctx context.Context, first int, shown *atomic.Int64) error {
	for page := first; ; page++ {
		for again := range pageStays {
			if err := o.show(ctx, consolePages[page%len(consolePages)], again > 0); err != nil {
				return err
			}
			shown.Add(1)
			pause := time.NewTimer(refreshLeast + rand.N(refreshMost-refreshLeast)) //nolint:gosec // people are not secrets
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return nil
			}
		}
	}
}

// show asks for a page, or for the part of it that changes.
func (o *person) show(ctx context.Context, path string, part bool) error {
	answer, err := o.get(ctx, path, part)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// listen reads events, and goes on when the stream ends.
func (o *person) listen(ctx context.Context) error {
	for ctx.Err() == nil {
		answer, err := o.get(ctx, "/console/events", false)
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusNotFound {
			return answer.Body.Close() // pages keep themselves fresh by asking
		}
		if answer.StatusCode != http.StatusOK {
			_ = answer.Body.Close()
			return fmt.Errorf("GET /console/events: %s", answer.Status)
		}
		_, _ = io.Copy(io.Discard, answer.Body) // who reads too slowly is cut off and comes again
		_ = answer.Body.Close()
		pause := time.NewTimer(refreshLeast)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	return nil
}

func (o *person) get(ctx context.Context, path string, part bool) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Cookie", o.cookie)
	request.Header.Set("Accept", "text/html")
	if part {
		request.Header.Set("HX-Request", "true")
	}
	return o.web.Do(request)
}
