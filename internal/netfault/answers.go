package netfault

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// The messages of the server that matter here, by their first byte.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
const (
	commandComplete = 'C'
	headerLength    = 5 // a byte for the type, four for the length, which counts itself
)

var errNotMessage = errors.New("not a message of PostgreSQL's protocol")

// answers passes the server's messages on, one at a time.
func (p *Proxy) answers(l *link) {
	defer l.end(false)
	from := bufio.NewReaderSize(l.server, 64<<10)
	for first := true; ; first = false {
		kind, message, err := next(from, first)
		if err != nil {
			return
		}
		if kind == commandComplete {
			if lost, withReset := p.answered(tagOf(message)); lost {
				l.end(withReset)
				return
			}
		}
		if !p.hold(l, true) {
			return
		}
		if _, err := l.client.Write(message); err != nil {
			return
		}
	}
}

// next reads one message with its header. The very first answer may be a single byte: no TLS here.
func next(from *bufio.Reader, first bool) (kind byte, message []byte, err error) {
	begin, err := from.Peek(1)
	if err != nil {
		return 0, nil, err
	}
	if kind = begin[0]; first && kind == 'N' {
		_, err := from.ReadByte()
		return 0, []byte{kind}, err
	}
	header, err := from.Peek(headerLength)
	if err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint32(header[1:]) < headerLength-1 {
		return 0, nil, errNotMessage
	}
	message = make([]byte, 1+int(binary.BigEndian.Uint32(header[1:])))
	_, err = io.ReadFull(from, message)
	return kind, message, err
}

func tagOf(message []byte) string { return strings.TrimRight(string(message[headerLength:]), "\x00") }
