package httpapi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// createBatch schedules up to 10,000 tasks, all or none. The body is in memory once, the tasks' params are parts of it, and
// only [Config.BatchSlots] batches are handled at once.
func (s *Server) createBatch(c echo.Context) error {
	ctx := c.Request().Context()
	if err := s.takeSlot(ctx); err != nil {
		return err
	}
	defer s.giveSlotBack()
	var found faults
	raw, err := readDocument(c, maxBatchBody, &found)
	if err != nil {
		return err
	}
	key, err := keyOf(c.Request().Header)
	if err != nil {
		return err
	}
	who := callerOf(c)
	tasks, err := s.readBatch(ctx, raw, who, &found)
	if err != nil {
		return err
	}
	if err := found.err(); err != nil {
		return err
	}
	own, err := s.assignKeys(tasks, key)
	if err != nil {
		return err
	}
	line, trace := s.actor(c, who).Line(), s.traceContext(c.Request().Context())
	for i := range tasks {
		tasks[i].CreatedBy, tasks[i].TraceContext = line, trace
	}
	created, err := s.deps.Tasks.CreateTasks(ctx, tasks)
	if billing.CodeOf(err) == billing.CodeKeyReused && !own {
		return &billing.Error{Code: billing.CodeKeyReused, Err: err}
	}
	if err != nil {
		return relocate(err, func(pointer string) string { return "/tasks" + pointer })
	}
	return s.answerBatch(c, created)
}

// takeSlot waits until one of the few slots for batches is free. Who has waited longest gets it.
func (s *Server) takeSlot(ctx context.Context) error {
	select {
	case s.batchSlots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a batch slot: %w", ctx.Err())
	}
}

func (s *Server) giveSlotBack() { <-s.batchSlots }

// readBatch reads the tasks, and stops early when there is enough to complain about.
func (s *Server) readBatch(ctx context.Context, raw []byte, who caller, found *faults) ([]billing.NewTask, error) {
	o := readObject(raw, "", found)
	list := o.required("tasks")
	o.done()
	if list == nil {
		return nil, nil
	}
	if list[0] != '[' {
		o.fault("tasks", faultWrongType, "must be an array")
		return nil, nil
	}
	var tasks []billing.NewTask
	for index, raw := range elements(list) {
		if index == maxBatch {
			o.fault("tasks", faultLength, fmt.Sprintf("must have 1 to %d tasks", maxBatch))
			return nil, nil
		}
		if found.full() {
			return nil, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read a batch: %w", err)
		}
		if tasks == nil { // most tasks of a batch are about as long as its first
			tasks = make([]billing.NewTask, 0, min(len(list)/len(raw)+1, maxBatch))
		}
		task, err := s.readTask(raw, "/tasks/"+strconv.Itoa(index), true, who, found)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, task)
	}
	if len(tasks) == 0 {
		o.fault("tasks", faultLength, fmt.Sprintf("must have 1 to %d tasks", maxBatch))
	}
	return tasks, nil
}

// assignKeys gives each task its key and fingerprint. In a batch the tasks bring keys of their own (own is true when one
// does). Where a task brings none but the request has an Idempotency-Key, its key is made from that and the task's place,
// and its fingerprint covers the number of tasks: the header then holds for the batch as a whole, and a client that relies
// on it is not billed twice for having put it in the usual place.
func (s *Server) assignKeys(tasks []billing.NewTask, header string) (own bool, err error) {
	var twice, missing faults
	firstAt := make(map[string]int, len(tasks))
	prefix := ""
	if header != "" {
		sum := sha256.Sum256([]byte(header))
		prefix = "batch:" + hex.EncodeToString(sum[:]) + ":"
	}
	for i := range tasks {
		task := &tasks[i]
		pointer := "/tasks/" + strconv.Itoa(i) + "/" + fieldIdempotencyKey
		switch {
		case task.Key != "":
			own = true
			if _, known := firstAt[task.Key]; known {
				twice.add(pointer, faultKeyTwice, "is the key of an earlier task of this batch")
				continue
			}
			firstAt[task.Key] = i
			task.Fingerprint = fingerprint(*task)
		case prefix != "":
			task.Key = prefix + strconv.Itoa(i)
			sum := sha256.Sum256(binary.BigEndian.AppendUint32(fingerprint(*task), uint32(len(tasks))))
			task.Fingerprint = sum[:]
		case s.deps.RequireKey:
			missing.add(pointer, faultRequired, "is required")
		}
	}
	if len(missing) > 0 {
		return own, keyRequired(missing)
	}
	return own, twice.err()
}

func (s *Server) answerBatch(c echo.Context, created []billing.CreatedTask) error {
	fresh := make(map[billing.Kind]int)
	for _, one := range created {
		if !one.Replayed {
			fresh[one.Task.Kind]++
		}
	}
	total := 0
	for kind, n := range fresh {
		s.deps.Metrics.TasksScheduled(kind, n)
		total += n
	}
	response := c.Response()
	if total == 0 {
		response.Header().Set(headerReplayed, "true")
	}
	ctx := c.Request().Context()
	s.log.InfoContext(ctx, "batch scheduled", slog.String("request_id", requestID(c)), slog.Int("tasks", total),
		slog.Int("replayed", len(created)-total))
	response.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	response.WriteHeader(http.StatusCreated)
	out := bufio.NewWriterSize(response, 32<<10)
	err := writeTasks(out, created)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		s.notDelivered(c, err)
	}
	return nil
}
