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
	bulkTurn    = 100    // tasks that are changed before others may have the slot
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
	list   listID         // which a cursor belongs to
	after  billing.TaskID // those before were looked at by an earlier call
}

type bulkAnswer struct {
	Matched    int        `json:"matched"`
	Capped     bool       `json:"capped"`
	Changed    int        `json:"changed"`
	Refused    int        `json:"refused"`
	AsOf       time.Time  `json:"as_of"`
	More       bool       `json:"more"`
	NextCursor *string    `json:"next_cursor"`
	SearchedTo *time.Time `json:"searched_to"`
}

// changeTasks does to many tasks what the routes of one do to it: by the same statements, which state the same conditions, each task with
// its entry in the audit log.
//
// Neither the search nor the changes may take longer than a request has, so a call may come to an end before the tasks do. It then tells
// where: each call goes on behind what the one before has looked at, so that whoever repeats it comes to the end of all tasks, whatever
// became of each.
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
	answer := bulkAnswer{AsOf: matching.AsOf.UTC(), Matched: len(matching.IDs), Capped: matching.Next != ""}
	if request.dryRun {
		answer.More = answer.Matched > 0 || answer.Capped
		answer.goesOn(request.list, matching)
		return s.answer(c, http.StatusOK, answer)
	}
	if err := s.changeMatching(ctx, c, request, &matching, &answer); err != nil {
		return relocate(err, single)
	}
	answer.More = matching.Next != ""
	answer.goesOn(request.list, matching)
	s.log.InfoContext(ctx, "tasks changed", slog.String("request_id", requestID(c)), slog.String("action", request.action),
		slog.Int("tasks", answer.Changed), slog.Int("refused", answer.Refused))
	return s.answer(c, http.StatusOK, answer)
}

// goesOn says where the next call begins, if there is to be one.
func (a *bulkAnswer) goesOn(list listID, after billing.Matching) {
	if after.Next != "" {
		a.NextCursor = list.cursor(string(after.Next))
	}
	if !after.SearchedTo.IsZero() {
		a.SearchedTo = utc(&after.SearchedTo)
	}
}

func (s *Server) match(ctx context.Context, request bulkRequest) (billing.Matching, error) {
	if request.action == bulkRetry {
		return s.deps.Tasks.FindRetryable(ctx, request.filter, maxMatching, request.after)
	}
	return s.deps.Tasks.FindUnsent(ctx, request.filter, request.runAt, maxMatching, request.after)
}

// changeMatching changes tasks until as many are as were asked for, or half of the request's time is over. If some are left, the next
// call is to begin with these.
func (s *Server) changeMatching(ctx context.Context, c echo.Context, request bulkRequest, matching *billing.Matching, answer *bulkAnswer) error {
	deadline, _ := ctx.Deadline() // the caller's, who may have less time than the route gives
	enough := time.Now().Add(time.Until(deadline) / 2)
	for ids := matching.IDs; len(ids) > 0; {
		turn := ids[:min(len(ids), request.limit-answer.Changed, bulkTurn)]
		changed, err := s.takeTurn(ctx, c, request, turn)
		if err != nil {
			return err
		}
		answer.Changed += changed
		answer.Refused += len(turn) - changed
		ids = ids[len(turn):]
		if len(ids) > 0 && (answer.Changed >= request.limit || time.Now().After(enough)) {
			matching.Next, matching.SearchedTo = turn[len(turn)-1], time.Time{}
			return nil
		}
	}
	return nil
}

// takeTurn changes some tasks, and returns how many it could. Like a batch it holds one of the few slots meanwhile; between two turns
// batches that wait have theirs.
func (s *Server) takeTurn(ctx context.Context, c echo.Context, request bulkRequest, ids []billing.TaskID) (changed int, err error) {
	if err := s.takeSlot(ctx); err != nil {
		return 0, err
	}
	defer s.giveSlotBack()
	switch request.action {
	case bulkCancel:
		return s.deps.Tasks.CancelTasks(ctx, ids)
	case bulkReschedule:
		return s.deps.Tasks.RescheduleTasks(ctx, ids, request.runAt)
	default:
		return s.retryTasks(ctx, c, ids)
	}
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
	request.list = request.listID()
	if cursor, ok := o.text("cursor", o.optional("cursor"), 1, maxTargetBytes); ok {
		last, ok := request.list.after(cursor)
		if request.after = billing.TaskID(last); !ok || !isTaskID(last) {
			o.fault("cursor", faultFormat, "must be the next_cursor of an earlier call with the same action and filter")
		}
	}
	o.done()
	return request
}

// listID is what a cursor belongs to: the action and the filter, but not until when tasks were scheduled, which the first call is told.
func (r bulkRequest) listID() listID {
	f := r.filter
	return makeListID("bulk", fmt.Sprintf("%s %q %q %q %q %s %s", r.action, f.Statuses, f.MerchantID, f.Kind, f.Target,
		f.From.Format(time.RFC3339Nano), f.To.Format(time.RFC3339Nano)))
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
