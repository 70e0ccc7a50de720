package proc

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

const tailBytes = 32 << 10

// Tail returns the last lines of a log file, at most n. A missing file has none.
func Tail(path string, n int) []string {
	file, err := os.Open(path) //nolint:gosec // the caller's own log file
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return nil
		}
	}
	content, err := io.ReadAll(io.LimitReader(file, 2*tailBytes))
	if err != nil {
		return nil
	}
	var lines []string
	for line := range bytes.SplitSeq(bytes.TrimRight(content, "\n"), []byte("\n")) {
		if len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	return lines[max(0, len(lines)-n):]
}

// OpenLog opens a log file for a child, empty, readable by its owner alone.
func OpenLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600) //nolint:gosec // the caller's own log file
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return file, nil
}
