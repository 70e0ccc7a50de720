package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// inside carries HTTP calls to a handler of this process. The request's context goes along with all that is in it. The answer comes as
// it is written, so that one without an end can be read.
type inside struct{ handler http.Handler }

var errAborted = errors.New("the answer was broken off")

// RoundTrip implements [http.RoundTripper]. The handler has returned when the body is closed, or when an error is returned.
func (t *inside) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	served := request.Clone(ctx)
	served.RequestURI = request.URL.RequestURI()
	served.Host = request.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	answer := &insideAnswer{header: http.Header{}, body: writer, begun: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		answer.end(answer.serve(t.handler, served))
	}()
	// Who gives up waiting need not close a body: the handler hears of it through its context, and is waited for.
	<-answer.begun
	if request.Body != nil {
		_ = request.Body.Close() // as a transport must
	}
	if answer.status == 0 {
		cancel()
		<-ended
		return nil, errAborted
	}
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.sent, ContentLength: -1, Request: request,
		Body: &insideBody{PipeReader: reader, cancel: cancel, ended: ended},
	}, nil
}

// insideBody is what the caller reads. Closing it ends the handler, and waits for that.
type insideBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	ended  <-chan struct{}
}

func (b *insideBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.ended
	return err
}

// insideAnswer is the handler's end of a call.
type insideAnswer struct {
	header, sent http.Header
	status       int
	body         *io.PipeWriter
	once         sync.Once
	begun        chan struct{} // closed when status and sent are there, or never will be
}

// serve runs the handler. One that panics has broken its answer off; of its own it has logged that already.
func (a *insideAnswer) serve(handler http.Handler, request *http.Request) (err error) {
	defer func() {
		if recover() != nil {
			err = errAborted
		}
	}()
	handler.ServeHTTP(a, request)
	a.WriteHeader(http.StatusOK)
	return nil
}

func (a *insideAnswer) end(err error) {
	_ = a.body.CloseWithError(err) // never fails
	a.once.Do(func() { close(a.begun) })
}

// Header implements [http.ResponseWriter].
func (a *insideAnswer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *insideAnswer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

// Write implements [http.ResponseWriter]. It returns when the caller has read.
func (a *insideAnswer) Write(text []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(text)
}

// Flush implements [http.Flusher]: what is written is there already, the header too once it is flushed.
func (a *insideAnswer) Flush() { a.WriteHeader(http.StatusOK) }

// SetWriteDeadline lets who streams bound its writes. The caller's own end is bounded by whoever reads it.
func (a *insideAnswer) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline is as SetWriteDeadline.
func (a *insideAnswer) SetReadDeadline(time.Time) error { return nil }

// asSession returns a context under which calls are made as the key of a console's session.
func asSession(ctx context.Context, session billing.Session) context.Context {
	if session.KeyID == "" {
		return httpapi.AsAdmin(ctx)
	}
	return httpapi.AsKey(ctx, session.KeyHash)
}
