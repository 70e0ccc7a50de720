package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

const (
	maxBulk     = 1_000  // tasks that one call changes
	maxMatching = 10_000 // tasks that are counted
)

// What is done to many tasks.
const (
	bulkCancel     = "cancel"
	bulkReschedule = "reschedule"
	bulkRetry      = "retry"
)

type bulkRequest struct {
	action string
	filter billing.TaskFilter
	runAt  time.Time
	reason string
	dryRun bool
	limit  int
}

type bulkAnswer struct {
	Matched int       `json:"matched"`
	Capped  bool      `json:"capped"`
	Changed int       `json:"changed"`
	Refused int       `json:"refused"`
	AsOf    time.Time `json:"as_of"`
	More    bool      `json:"more"`
}

// changeTasks does to many tasks what the routes of one do to it: by the same statements, which state the same conditions, each task with
// its entry in the audit log. Like a batch it holds one of the few slots while it changes them.
func (s *Server) changeTasks(c echo.Context) error {
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	request := readBulk(raw, &found)
	if err := found.err(); err != nil {
		return err
	}
	who := callerOf(c)
	if !who.sees(request.filter.MerchantID) && request.filter.MerchantID != "" { // of whom the caller knows no task
		return s.answer(c, http.StatusOK, bulkAnswer{AsOf: time.Now().UTC()})
	}
	if who.merchant != "" {
		request.filter.MerchantID = who.merchant
	}
	ctx := billing.WithReason(c.Request().Context(), request.reason)
	matching, err := s.match(ctx, request)
	if err != nil {
		return err
	}
	answer := bulkAnswer{AsOf: matching.AsOf.UTC(), Capped: len(matching.IDs) > maxMatching}
	ids := matching.IDs[:min(len(matching.IDs), maxMatching)]
	answer.Matched, answer.More = len(ids), len(ids) > 0
	if request.dryRun {
		return s.answer(c, http.StatusOK, answer)
	}
	select {
	case s.batchSlots <- struct{}{}:
		defer func() { <-s.batchSlots }()
	case <-ctx.Done():
		return fmt.Errorf("wait for a batch slot: %w", ctx.Err())
	}
	if ids, err = s.changeMatching(ctx, c, request, ids, &answer); err != nil {
		return relocate(err, single)
	}
	// A caller that repeats the call while there is more must come to an end.
	answer.More = answer.Changed > 0 && (len(ids) > 0 || answer.Capped)
	s.log.InfoContext(ctx, "tasks changed", slog.String("request_id", requestID(c)), slog.String("action", request.action),
		slog.Int("tasks", answer.Changed), slog.Int("refused", answer.Refused))
	return s.answer(c, http.StatusOK, answer)
}

func (s *Server) match(ctx context.Context, request bulkRequest) (billing.Matching, error) {
	if request.action == bulkRetry {
		return s.deps.Tasks.FindRetryable(ctx, request.filter, maxMatching+1)
	}
	return s.deps.Tasks.FindUnsent(ctx, request.filter, request.runAt, maxMatching+1)
}

// changeMatching changes tasks until as many are as were asked for, and returns those that are left.
func (s *Server) changeMatching(ctx context.Context, c echo.Context, request bulkRequest, ids []billing.TaskID, answer *bulkAnswer) ([]billing.TaskID, error) {
	for len(ids) > 0 && answer.Changed < request.limit {
		next := ids[:min(len(ids), request.limit-answer.Changed)]
		changed, err := 0, error(nil)
		switch request.action {
		case bulkCancel:
			changed, err = s.deps.Tasks.CancelTasks(ctx, next)
		case bulkReschedule:
			changed, err = s.deps.Tasks.RescheduleTasks(ctx, next, request.runAt)
		case bulkRetry:
			changed, err = s.retryTasks(ctx, c, next)
		}
		if err != nil {
			return nil, err
		}
		answer.Changed += changed
		answer.Refused += len(next) - changed
		ids = ids[len(next):]
	}
	return ids, nil
}

// retryTasks repeats those of the tasks that can be, one by one, and returns how many. One that somebody else has repeated meanwhile
// stays as it is.
func (s *Server) retryTasks(ctx context.Context, c echo.Context, ids []billing.TaskID) (changed int, err error) {
	createdBy := s.actor(c, callerOf(c)).Line()
	for _, id := range ids {
		created, err := s.retry(ctx, id, createdBy)
		switch code := billing.CodeOf(err); {
		case err == nil && !created.Replayed:
			s.scheduled(ctx, c, created.Task)
			changed++
		case err == nil, code == billing.CodeConflict, code == billing.CodeNotFound, code == billing.CodeInvalid, code == billing.CodeIntentTaken:
		default:
			return changed, err
		}
	}
	return changed, nil
}

func readBulk(raw []byte, found *faults) bulkRequest {
	o := readObject(raw, "", found)
	request := bulkRequest{limit: maxBulk}
	request.action, _ = o.text("action", o.required("action"), 0, maxTargetBytes)
	switch request.action {
	case bulkCancel, bulkReschedule, bulkRetry:
	default:
		if !found.below("/action") {
			o.fault("action", faultUnknownValue, "must be cancel, reschedule or retry")
		}
	}
	runAt := o.optional("run_at")
	request.runAt, _ = o.moment("run_at", runAt)
	request.runAt = request.runAt.Truncate(time.Microsecond)
	switch {
	case request.action == bulkReschedule && runAt == nil:
		o.fault("run_at", faultRequired, "is required")
	case request.action != bulkReschedule && runAt != nil:
		o.fault("run_at", faultUnknownField, "is for reschedule alone")
	}
	request.reason = o.reason(o.required("reason"))
	request.dryRun, _ = o.boolean("dry_run", o.optional("dry_run"))
	if limit, ok := o.integer("limit", o.optional("limit"), 1, maxBulk); ok {
		request.limit = limit
	}
	if filter := o.required("filter"); filter != nil {
		request.filter = readBulkFilter(filter, found)
	}
	o.done()
	return request
}

func readBulkFilter(raw []byte, found *faults) (filter billing.TaskFilter) {
	o := readObject(raw, "/filter", found)
	given := 0
	text := func(name string) (string, bool) {
		value, ok := o.text(name, o.optional(name), 1, maxTargetBytes)
		if ok {
			given++
		}
		return value, ok
	}
	if list, ok := text("status"); ok {
		if filter.Statuses, ok = readStatuses(list); !ok {
			o.fault("status", faultUnknownValue, "is not a status of tasks, nor are these with commas between them")
		}
	}
	if id, ok := text("merchant_id"); ok {
		var err error
		if filter.MerchantID, err = billing.ParseMerchantID(id); err != nil {
			o.fault("merchant_id", faultFormat, "must be the id of a merchant")
		}
	}
	if kind, ok := text("kind"); ok {
		if filter.Kind = billing.Kind(kind); !filter.Kind.Known() {
			o.fault("kind", faultUnknownValue, "is not a kind of task")
		}
	}
	if target, ok := text("target"); ok {
		if filter.Target = target; strings.ContainsFunc(target, isNotVisible) {
			o.fault("target", faultFormat, "must be visible ASCII characters")
		}
	}
	var from, to bool
	if filter.From, from = o.moment("from", o.optional("from")); from {
		given++
	}
	if filter.To, to = o.moment("to", o.optional("to")); to {
		given++
	}
	filter.CreatedBefore, _ = o.moment("created_before", o.optional("created_before"))
	o.done()
	if given == 0 && !found.below("/filter") {
		found.add("/filter", faultRequired, "must have at least one of status, merchant_id, kind, target, from and to")
	}
	return filter
}
