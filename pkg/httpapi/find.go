package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// taskFilters are the query parameters that narrow tasks, besides those given.
func taskFilters(more ...string) []string {
	return append(more, "merchant_id", "kind", "target", "from", "to", "attention", "retry_of", "q")
}

// readFilter reads what taskFilters names. nothing reports that the caller asks for what a key for one merchant cannot see.
func readFilter(q *query, who caller) (filter billing.TaskFilter, nothing bool) {
	filter = billing.TaskFilter{Kind: billing.Kind(q.values.Get("kind")), Target: q.text("target")}
	if text := q.values.Get("status"); text != "" {
		var ok bool
		if filter.Statuses, ok = readStatuses(text); !ok {
			q.fault("status", faultUnknownValue, "is not a status of tasks, nor are these with commas between them")
		}
	}
	if filter.Kind != "" && !filter.Kind.Known() {
		q.fault("kind", faultUnknownValue, "is not a kind of task")
	}
	filter.MerchantID = q.merchant("merchant_id")
	filter.From, filter.To = q.moment("from"), q.moment("to")
	filter.Attention, filter.RetryOf, filter.Query = q.flag("attention"), q.task("retry_of"), q.told("q")
	if !who.sees(filter.MerchantID) && filter.MerchantID != "" {
		return filter, true
	}
	if who.merchant != "" {
		filter.MerchantID = who.merchant
	}
	return filter, false
}

func (s *Server) listTasks(c echo.Context) error {
	q := readQuery(c, "tasks")
	limit := q.limit()
	after := billing.TaskID(q.after(isTaskID))
	filter, nothing := readFilter(q, callerOf(c))
	if err := q.faults.err(); err != nil {
		return err
	}
	if nothing {
		return s.answer(c, http.StatusOK, taskPage{Data: []taskAnswer{}})
	}
	found, err := s.deps.Tasks.FindTasks(c.Request().Context(), filter, limit, after)
	if err != nil {
		return err
	}
	answer := taskPage{Data: showTasks(found.Tasks)}
	if found.Next != "" {
		answer.NextCursor = q.cursor(string(found.Next))
	}
	if !found.SearchedTo.IsZero() {
		answer.SearchedTo = utc(&found.SearchedTo)
	}
	return s.answer(c, http.StatusOK, answer)
}

type statusCountAnswer struct {
	Status billing.Status `json:"status"`
	Count  int            `json:"count"`
	Capped bool           `json:"capped"`
}

func showCounts(counts []billing.StatusCount) []statusCountAnswer {
	shown := make([]statusCountAnswer, len(counts))
	for i, count := range counts {
		shown[i] = statusCountAnswer{Status: count.Status, Count: count.N, Capped: count.Capped}
	}
	return shown
}

type taskCountsAnswer struct {
	Data []statusCountAnswer `json:"data"`
}

func (s *Server) countTasks(c echo.Context) error {
	q := readQuery(c, "counts")
	filter, nothing := readFilter(q, callerOf(c))
	if err := q.faults.err(); err != nil {
		return err
	}
	if nothing {
		var none []billing.StatusCount
		for _, status := range billing.Statuses() {
			none = append(none, billing.StatusCount{Status: status})
		}
		return s.answer(c, http.StatusOK, taskCountsAnswer{Data: showCounts(none)})
	}
	counts, err := s.deps.Tasks.CountTasks(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, taskCountsAnswer{Data: showCounts(counts)})
}
