package httpapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

func (s *Server) createTask(c echo.Context) error {
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	key, err := keyOf(c.Request().Header)
	if err != nil {
		return err
	}
	if key == "" && s.deps.RequireKey {
		return keyRequired(nil)
	}
	who := callerOf(c)
	task, err := s.readTask(raw, "", false, who, &found)
	if err != nil {
		return err
	}
	if err := found.err(); err != nil {
		return err
	}
	task.CreatedBy, task.TraceContext = s.actor(c, who).Line(), s.traceContext(c.Request().Context())
	if key != "" {
		task.Key, task.Fingerprint = key, fingerprint(task)
	}
	created, err := s.deps.Tasks.CreateTasks(c.Request().Context(), []billing.NewTask{task})
	if billing.CodeOf(err) == billing.CodeKeyReused { // the key is in a header, where no pointer points
		return &billing.Error{Code: billing.CodeKeyReused, Err: err}
	}
	if err != nil {
		return relocate(err, single)
	}
	return s.answerCreated(c, created[0])
}

func (s *Server) getTask(c echo.Context) error {
	id, err := billing.ParseTaskID(c.Param("id"))
	if err != nil {
		return err
	}
	task, err := s.deps.Tasks.GetTask(c.Request().Context(), id)
	if err == nil && !callerOf(c).sees(task.MerchantID) {
		err = &billing.Error{Code: billing.CodeNotFound, Message: "no such task"}
	}
	return s.answerTask(c)(task, err)
}

// listChain answers with all repetitions of one operation, by hand or after declines, first to last.
func (s *Server) listChain(c echo.Context) error {
	id, err := s.taskID(c)
	if err != nil {
		return err
	}
	tasks, err := s.deps.Tasks.ListChain(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, taskPage{Data: showTasks(tasks)})
}

// listAttempts pages through attempts that are read at once: max_attempts and the number of looks bound them.
func (s *Server) listAttempts(c echo.Context) error {
	id, err := s.taskID(c)
	if err != nil {
		return err
	}
	q := readQuery(c, "attempts/"+string(id))
	limit := q.limit()
	last, _ := strconv.Atoi(q.after(isAttempt)) // "" is 0, the number before the first
	if err := q.faults.err(); err != nil {
		return err
	}
	attempts, err := s.deps.Tasks.ListAttempts(c.Request().Context(), id)
	if err != nil {
		return err
	}
	for len(attempts) > 0 && attempts[0].Number <= last {
		attempts = attempts[1:]
	}
	return s.answer(c, http.StatusOK, pageOf(q, attempts, limit, showAttempt, func(attempt billing.Attempt) string {
		return strconv.Itoa(attempt.Number)
	}))
}

func isAttempt(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n > 0
}

func (s *Server) cancelTask(c echo.Context) error {
	id, err := s.taskID(c)
	if err != nil {
		return err
	}
	ctx, err := readReason(c)
	if err != nil {
		return err
	}
	return s.answerTask(c)(s.deps.Tasks.CancelTask(ctx, id))
}

func (s *Server) rescheduleTask(c echo.Context) error {
	id, err := s.taskID(c)
	if err != nil {
		return err
	}
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	o := readObject(raw, "", &found)
	runAt, _ := o.moment("run_at", o.required("run_at"))
	reason := o.reason(o.optional("reason"))
	o.done()
	if err := found.err(); err != nil {
		return err
	}
	ctx := billing.WithReason(c.Request().Context(), reason)
	task, err := s.deps.Tasks.RescheduleTask(ctx, id, runAt.Truncate(time.Microsecond))
	return s.answerTask(c)(task, relocate(err, single))
}

// retryTask schedules the same operation anew, under a new id and hence a new Stripe key.
func (s *Server) retryTask(c echo.Context) error {
	of, err := s.taskID(c)
	if err != nil {
		return err
	}
	ctx, err := readReason(c)
	if err != nil {
		return err
	}
	created, err := s.retry(ctx, of, s.actor(c, callerOf(c)).Line())
	if err != nil {
		return relocate(err, single)
	}
	return s.answerCreated(c, created)
}

// retry makes the task that repeats another one.
func (s *Server) retry(ctx context.Context, of billing.TaskID, createdBy string) (billing.CreatedTask, error) {
	old, err := s.deps.Tasks.GetTask(ctx, of)
	if err != nil {
		return billing.CreatedTask{}, err
	}
	if old.Status != billing.Failed && old.Status != billing.Canceled {
		return billing.CreatedTask{}, &billing.Error{
			Code: billing.CodeConflict, Message: "only a failed or canceled task can be retried; this one is " + string(old.Status),
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return billing.CreatedTask{}, fmt.Errorf("make a task id: %w", err)
	}
	next := billing.NewTask{
		ID: billing.TaskID(id.String()), MerchantID: old.MerchantID, Kind: old.Kind, Target: old.Target, Params: old.Params,
		Metadata: old.Metadata, MaxAttempts: old.MaxAttempts, RetryOf: of, Intent: old.Intent, OnDecline: old.OnDecline,
		Declines: old.Declines, CreatedBy: createdBy, TraceContext: s.traceContext(ctx),
	}
	if next.Request, err = s.deps.Freezer.Freeze(next.ID, next.Kind, next.Target, next.Params); err != nil {
		return billing.CreatedTask{}, err
	}
	return s.deps.Tasks.RetryTask(ctx, of, next)
}

func (s *Server) resolveTask(c echo.Context) error {
	id, err := s.taskID(c)
	if err != nil {
		return err
	}
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	o := readObject(raw, "", &found)
	resolution := billing.Resolution{RequestID: requestID(c)}
	if text, ok := o.text("outcome", o.required("outcome"), 0, maxTargetBytes); ok {
		resolution.Outcome = billing.Status(text)
		if resolution.Outcome != billing.Succeeded && resolution.Outcome != billing.Failed {
			o.fault("outcome", faultUnknownValue, "must be succeeded or failed")
		}
	}
	if note, ok := o.text("note", o.required("note"), 1, 2000); ok {
		if resolution.Note = strings.TrimSpace(note); resolution.Note == "" {
			o.fault("note", faultRequired, "must say how it is known")
		}
	}
	o.done()
	if err := found.err(); err != nil {
		return err
	}
	return s.answerTask(c)(s.deps.Tasks.ResolveTask(c.Request().Context(), id, resolution))
}

// answerTask answers with what a port returned.
func (s *Server) answerTask(c echo.Context) func(billing.Task, error) error {
	return func(task billing.Task, err error) error {
		if err != nil {
			return err
		}
		return s.answer(c, http.StatusOK, showTask(task))
	}
}

// scheduled tells operators of a new task.
func (s *Server) scheduled(ctx context.Context, c echo.Context, task billing.Task) {
	s.deps.Metrics.TasksScheduled(task.Kind, 1)
	s.log.InfoContext(ctx, "task scheduled", slog.String("request_id", requestID(c)), slog.String("task_id", string(task.ID)),
		slog.String("merchant_id", string(task.MerchantID)), slog.String("kind", string(task.Kind)))
}

func (s *Server) answerCreated(c echo.Context, created billing.CreatedTask) error {
	header := c.Response().Header()
	header.Set(echo.HeaderLocation, "/v1/tasks/"+string(created.Task.ID))
	if created.Replayed {
		header.Set(headerReplayed, "true")
	} else {
		s.scheduled(c.Request().Context(), c, created.Task)
	}
	text, err := appendShown(make([]byte, 0, 1024), created.Task)
	if err != nil {
		return fmt.Errorf("write a task: %w", err)
	}
	if err := c.Blob(http.StatusCreated, echo.MIMEApplicationJSON, text); err != nil {
		s.notDelivered(c, err)
	}
	return nil
}

// writeTasks answers a batch task by task, so that the whole answer is never in memory.
func writeTasks(out io.Writer, created []billing.CreatedTask) error {
	line := []byte(`{"data":[`)
	for i, one := range created {
		if i > 0 {
			line = append(line[:0], ',')
		}
		var err error
		if line, err = appendShown(line, one.Task); err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	_, err := out.Write([]byte("]}\n"))
	return err
}
