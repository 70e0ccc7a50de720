// Package batch schedules the tasks of a file, one JSON object to a line, over the API.
//
// It promises that nothing is sent before every line has been read and holds one object; that every task has an Idempotency-Key, of its
// own or one that follows from what the line says, so that sending a file again schedules nothing twice, whatever was added to it or
// taken out meanwhile; and that what the API finds wrong is told by the file's lines. Two lines that say the same are two tasks. It
// holds one part of the file in memory, and for each line without a key a few bytes.
package batch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"billonce/cmd/billctl/progress"
	"billonce/pkg/client"
)

// What one request may hold; the API takes 10,000 tasks and 16 MiB.
const (
	MaxTasks = 10_000
	maxBytes = 8 << 20
	maxLine  = 1 << 20
)

// API schedules.
type API interface {
	Send(ctx context.Context, call client.Call) (client.Answer, error)
}

// Options say how.
type Options struct {
	Size int // tasks in a request
	// Series tells the tasks of two files that say the same apart: it goes into each key that is made.
	Series string
}

// State is how far it is.
type State struct {
	Tasks    int // scheduled now or before
	Replayed int // of these, those in requests that scheduled nothing new
	Line     int // of the file, up to which all is scheduled
}

// Count reads everything once and returns how many tasks there are.
func Count(from io.Reader) (tasks int, err error) {
	err = lines(from, func(number int, text []byte) error {
		if _, err := object(text); err != nil {
			return fmt.Errorf("line %d is not one JSON object", number)
		}
		tasks++
		return nil
	})
	return tasks, err
}

// Run schedules everything. made is given each answer's tasks. The state says how far it came, also beside an error.
func Run(ctx context.Context, api API, from io.Reader, opts Options, made func([]json.RawMessage) error, meter progress.Meter) (state State, err error) {
	part := &part{ctx: ctx, api: api, made: made, meter: meter, state: &state}
	times := map[[sha256.Size]byte]uint32{}
	err = lines(from, func(number int, text []byte) error {
		task, err := object(text)
		if err != nil {
			return fmt.Errorf("line %d is not one JSON object", number)
		}
		if task["idempotency_key"] == nil {
			sum := sha256.Sum256(append([]byte(opts.Series+"\x00"), canonical(task)...))
			task["idempotency_key"] = fmt.Sprintf("billctl-%s-%d", hex.EncodeToString(sum[:]), times[sum])
			times[sum]++
		}
		encoded, err := json.Marshal(task)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if len(part.tasks) == opts.Size || part.size+len(encoded) > maxBytes {
			if err := part.send(); err != nil {
				return err
			}
		}
		part.tasks, part.lines, part.size = append(part.tasks, encoded), append(part.lines, number), part.size+len(encoded)
		return nil
	})
	if err == nil {
		err = part.send()
	}
	return state, err
}

// part is what goes into one request.
type part struct {
	ctx   context.Context // it lives as long as Run
	api   API
	made  func([]json.RawMessage) error
	meter progress.Meter
	state *State

	tasks []json.RawMessage
	lines []int
	size  int
}

func (p *part) send() error {
	if len(p.tasks) == 0 {
		return nil
	}
	answer, err := p.api.Send(p.ctx, client.Call{
		Method: http.MethodPost, Path: "/v1/tasks/batch", Body: map[string]any{"tasks": p.tasks},
	})
	if err != nil {
		return byLine(err, p.lines)
	}
	var created client.List
	if err := json.Unmarshal(answer.Body, &created); err != nil || len(created.Data) != len(p.tasks) {
		return errors.Join(errors.New("the answer is not what this program expects"), err)
	}
	p.state.Tasks += len(p.tasks)
	if answer.Replayed {
		p.state.Replayed += len(p.tasks)
	}
	p.state.Line = p.lines[len(p.lines)-1]
	p.meter.Reached(progress.Step{Seen: p.state.Tasks, Done: p.state.Tasks - p.state.Replayed, At: "line " + strconv.Itoa(p.state.Line)})
	p.tasks, p.lines, p.size = p.tasks[:0], p.lines[:0], 0
	return p.made(created.Data)
}

// byLine tells faults by the lines of the file.
func byLine(err error, lines []int) error {
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return err
	}
	told := *problem
	told.Errors = make([]client.Fault, len(problem.Errors))
	for i, fault := range problem.Errors {
		if rest, found := strings.CutPrefix(fault.Pointer, "/tasks/"); found {
			index, below, _ := strings.Cut(rest, "/")
			if at, err := strconv.Atoi(index); err == nil && at >= 0 && at < len(lines) {
				fault.Pointer = fmt.Sprintf("line %d", lines[at])
				if below != "" {
					fault.Pointer += ", /" + below
				}
			}
		}
		told.Errors[i] = fault
	}
	return &told
}

// lines calls do for each line that holds something.
func lines(from io.Reader, do func(number int, text []byte) error) error {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	for number := 1; scanner.Scan(); number++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		if err := do(number, text); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read the tasks: %w", err)
	}
	return nil
}

// object reads one JSON object whose values stay as they are written.
func object(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var task map[string]any
	if err := decoder.Decode(&task); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || task == nil {
		return nil, errors.New("not one object")
	}
	return task, nil
}

// canonical writes a task the same way however its line is written: the names in their order, nothing between.
func canonical(task map[string]any) []byte {
	text, err := json.Marshal(task)
	if err != nil { // it was read from JSON
		panic(err)
	}
	return text
}
