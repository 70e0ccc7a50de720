package httpapi

import (
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
)

// eventWriter writes parts of a stream, each within [streamPatience].
type eventWriter struct {
	writer  *echo.Response
	control *http.ResponseController
}

// send writes parts and lets nobody wait for them. A writer without deadlines, as within one process, is bounded by its reader alone.
func (w *eventWriter) send(parts ...[]byte) error {
	if err := w.control.SetWriteDeadline(time.Now().Add(streamPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	for _, part := range parts {
		if _, err := w.writer.Write(part); err != nil {
			return err
		}
	}
	return w.control.Flush()
}

// isSlow reports whether a write ended because nobody read.
func isSlow(err error) bool {
	var network net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}
