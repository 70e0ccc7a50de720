// Package client speaks to the billonce API. Its types, and a method for each operation, are made from the API's description,
// pkg/httpapi/openapi.yaml, by tools/apigen.
//
// It promises bounded calls, an answer kept as the server wrote it, and errors that a person can read: a problem document
// becomes a [Problem]. What is no answer of the API, though it is a success and perhaps JSON, is an error and never an empty value.
// It follows no redirect, which would carry the key to another place, sends no path that means another one, and never puts the key
// into an error. It sends nothing twice by itself.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/secret"
)

const (
	callTimeout = 2 * time.Minute // the API takes up to 30 s to read a batch, and then up to 75 s until it is answered
	maxAnswer   = 64 << 20
	pageSize    = 200 // the largest page that the API serves
)

// Client is a connection to one API with one key.
type Client struct {
	base *url.URL
	key  secret.Text
	http *http.Client
}

// Option changes how a client works.
type Option func(*Client)

// Through sends every call through the transport, instead of one that the client makes for itself.
func Through(transport http.RoundTripper) Option {
	return func(c *Client) { c.http.Transport = transport }
}

// Timeout is how long a call may take, instead of two minutes. What a call does that is given up earlier is not known.
func Timeout(limit time.Duration) Option {
	return func(c *Client) { c.http.Timeout = limit }
}

// New returns a client for the API at base, an http or https URL without credentials.
func New(base string, key secret.Text, options ...Option) (*Client, error) {
	address, err := url.Parse(base)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" || address.User != nil {
		return nil, errors.New("the API's URL must look like https://host:port")
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
	}
	c := &Client{base: address, key: key, http: &http.Client{
		Transport: transport, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// Call is one request to the API.
type Call struct {
	Method, Path   string
	Query          url.Values
	Body           any    // nil: none
	IdempotencyKey string // "": none
}

// Answer is the body of a 2xx.
type Answer struct {
	Body     json.RawMessage
	Replayed bool // the server did this before, and says again what came of it
	isJSON   bool // it says that it is
}

// Do sends a call and returns the body of a 2xx. Any other answer is a *[Problem].
func (c *Client) Do(ctx context.Context, call Call) (json.RawMessage, error) {
	answer, err := c.Send(ctx, call)
	return answer.Body, err
}

// Send is Do, with what the answer says of itself.
func (c *Client) Send(ctx context.Context, call Call) (Answer, error) {
	request, err := c.request(ctx, call)
	if err != nil {
		return Answer{}, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", call.Method, call.Path, unwrapURL(err))
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: read the answer: %w", call.Method, call.Path, err)
	}
	if len(body) > maxAnswer {
		return Answer{}, fmt.Errorf("%s %s: the answer is longer than %d MiB", call.Method, call.Path, maxAnswer>>20)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return Answer{}, problem(answer, body)
	}
	note := Note{Replayed: answer.Header.Get("Idempotent-Replayed") == "true", RequestID: answer.Header.Get("X-Request-Id")}
	if told, ok := ctx.Value(noteKey{}).(*Note); ok {
		*told = note
	}
	mediaType, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return Answer{Body: body, Replayed: note.Replayed, isJSON: mediaType == "application/json"}, nil
}

// Note is what a success says of itself beside its body.
type Note struct {
	Replayed  bool   // the server did this before, and says again what came of it
	RequestID string // under which the server's log has it
}

type noteKey struct{}

// Noting returns a context with which a call that succeeds fills in the note.
func Noting(ctx context.Context, note *Note) context.Context {
	return context.WithValue(ctx, noteKey{}, note)
}

// Get sends a GET and decodes the answer into target.
func (c *Client) Get(ctx context.Context, path string, query url.Values, target any) error {
	return c.Into(ctx, Call{Method: http.MethodGet, Path: path, Query: query}, target)
}

// Into sends a call and decodes the answer, a JSON object, into target.
func (c *Client) Into(ctx context.Context, call Call, target any) error {
	return c.into(ctx, call, target, "")
}

// into is Into for an object that has a certain field ("" for any object).
func (c *Client) into(ctx context.Context, call Call, target any, field string) error {
	answer, err := c.Send(ctx, call)
	if err != nil {
		return err
	}
	var found map[string]json.RawMessage
	switch err = json.Unmarshal(answer.Body, &found); {
	case err != nil:
	case !answer.isJSON || found == nil:
		err = errors.New("it is no JSON object")
	case field != "" && found[field] == nil:
		err = fmt.Errorf("it has no %s", field)
	default:
		err = json.Unmarshal(answer.Body, target)
	}
	if err != nil {
		return fmt.Errorf("%s %s: the answer is not what this program expects: %w", call.Method, call.Path, err)
	}
	return nil
}

// List is a list as the API serves it, here perhaps of several pages.
type List struct {
	Data       []json.RawMessage `json:"data"`
	NextCursor *string           `json:"next_cursor"`
	SearchedTo *time.Time        `json:"searched_to,omitempty"` // how far back a search has come, where its time was over
}

// List follows the pages of a list until it has limit items; 0 means all. A page may be empty although there are more: a search that takes
// long answers what it has found.
func (c *Client) List(ctx context.Context, path string, query url.Values, limit int) (List, error) {
	whole := List{Data: []json.RawMessage{}}
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-len(whole.Data))
		}
		page := url.Values{}
		maps.Copy(page, query)
		page.Set("limit", strconv.Itoa(size))
		if whole.NextCursor != nil {
			page.Set("cursor", *whole.NextCursor)
		}
		var answer List
		if err := c.into(ctx, Call{Method: http.MethodGet, Path: path, Query: page}, &answer, "data"); err != nil {
			return whole, err
		}
		stuck := answer.NextCursor != nil && whole.NextCursor != nil && *answer.NextCursor == *whole.NextCursor
		whole.Data, whole.NextCursor, whole.SearchedTo = append(whole.Data, answer.Data...), answer.NextCursor, answer.SearchedTo
		switch {
		case answer.NextCursor == nil, limit > 0 && len(whole.Data) >= limit:
			return whole, nil
		case stuck:
			return whole, fmt.Errorf("GET %s: the server says that there are more, and does not get on", path)
		}
	}
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	var body io.Reader
	if call.Body != nil {
		encoded, err := json.Marshal(call.Body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", call.Method, call.Path, err)
		}
		body = bytes.NewReader(encoded)
	}
	address, err := c.address(call.Path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.Method, call.Path, err)
	}
	address.RawQuery = call.Query.Encode()
	request, err := http.NewRequestWithContext(ctx, call.Method, address.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.Method, call.Path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.IdempotencyKey != "" {
		request.Header.Set("Idempotency-Key", call.IdempotencyKey)
	}
	if !c.key.Empty() {
		request.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	return request, nil
}

// address is where an escaped path leads below the API's own. A part that is empty or dots, as an id may be that somebody made up, would
// lead to another route, and is refused.
func (c *Client) address(path string) (*url.URL, error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, errors.New("the path is not escaped as it should be")
		}
		if text == "" || text == "." || text == ".." {
			return nil, fmt.Errorf("%q is no part of a path, and no id", text)
		}
		parts[i] = text
	}
	address := *c.base
	address.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + "/" + strings.TrimPrefix(path, "/")
	address.Path = strings.TrimSuffix(c.base.Path, "/") + "/" + strings.Join(parts, "/")
	return &address, nil
}

// unwrapURL drops the part of the error that repeats method and URL.
func unwrapURL(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// Error tells it in one line, and one more for each fault.
func (p *Problem) Error() string {
	var text strings.Builder
	text.WriteString(p.Title)
	if p.Detail != "" && p.Detail != p.Title {
		text.WriteString(": " + p.Detail)
	}
	fmt.Fprintf(&text, " (HTTP %d", p.Status)
	if p.Code != "" {
		text.WriteString(", " + string(p.Code))
	}
	if p.RequestID != "" {
		text.WriteString(", request " + p.RequestID)
	}
	text.WriteString(")")
	for _, fault := range p.Errors {
		where := "the document"
		switch {
		case fault.Pointer != "":
			where = fault.Pointer
		case fault.Query != "":
			where = "?" + fault.Query
		}
		fmt.Fprintf(&text, "\n  %s: %s", where, fault.Detail)
	}
	return text.String()
}

// problem reads a problem document, and makes one out of an answer that is none.
func problem(answer *http.Response, body []byte) *Problem {
	p := &Problem{}
	mediaType, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if mediaType != "application/problem+json" || json.Unmarshal(body, p) != nil {
		p = &Problem{Detail: "the answer is not from the billonce API"}
	}
	p.Status = answer.StatusCode
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	if p.Title == "" {
		p.Title = http.StatusText(answer.StatusCode)
	}
	if p.RequestID == "" {
		p.RequestID = answer.Header.Get("X-Request-Id")
	}
	return p
}
