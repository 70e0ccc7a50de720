package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// lightClient is one kept connection to the api. What it sends is made of prepared bytes, and of the answer it reads the status
// and skips the rest, so that the client takes little of the two cores it shares with what it measures.
type lightClient struct {
	conn net.Conn
	in   *bufio.Reader
	head []byte // request line and headers that do not change
	buf  []byte
}

const lightPatience = 90 * time.Second // the api gives up on a batch after 60 s

// dialLight connects to host:port; path and key are the same for all of its requests.
func dialLight(ctx context.Context, addr, path, key string) (*lightClient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the api: %w", err)
	}
	head := "POST " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + key +
		"\r\nContent-Type: application/json\r\n"
	return &lightClient{conn: conn, in: bufio.NewReaderSize(conn, 16<<10), head: []byte(head)}, nil
}

// Close ends the connection.
func (c *lightClient) Close() { _ = c.conn.Close() }

// post sends the body, under the Idempotency-Key if there is one, and fails unless the answer is 201.
func (c *lightClient) post(body []byte, idempotencyKey string) error {
	c.buf = append(c.buf[:0], c.head...)
	if idempotencyKey != "" {
		c.buf = append(append(append(c.buf, "Idempotency-Key: "...), idempotencyKey...), "\r\n"...)
	}
	c.buf = append(c.buf, "Content-Length: "...)
	c.buf = strconv.AppendInt(c.buf, int64(len(body)), 10)
	c.buf = append(c.buf, "\r\n\r\n"...)
	c.buf = append(c.buf, body...)
	if err := c.conn.SetDeadline(time.Now().Add(lightPatience)); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusCreated {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return fmt.Errorf("post: answered %s: %s", answer.Status, said)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
