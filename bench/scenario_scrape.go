package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gauges are the sums of a process's metrics by name, over all labels.
type gauges map[string]float64

// scrape reads /metrics of a process's operators' address.
func scrape(ctx context.Context, base string, names ...string) (gauges, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/metrics", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New("scrape: answered " + answer.Status)
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	sums := gauges{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, ok := sample(lines.Text())
		if ok && wanted[name] {
			sums[name] += value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	return sums, nil
}

// sample splits one line of the text format: name{labels} value.
func sample(line string) (name string, value float64, ok bool) {
	if strings.HasPrefix(line, "#") {
		return "", 0, false
	}
	space := strings.LastIndexByte(line, ' ')
	if space < 0 {
		return "", 0, false
	}
	value, err := strconv.ParseFloat(line[space+1:], 64)
	if err != nil {
		return "", 0, false
	}
	name, _, _ = strings.Cut(line[:space], "{")
	return name, value, true
}
