package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

type auditAnswer struct {
	ID         string              `json:"id"`
	At         time.Time           `json:"at"`
	Actor      auditActor          `json:"actor"`
	Action     billing.Action      `json:"action"`
	Object     auditObject         `json:"object"`
	MerchantID *billing.MerchantID `json:"merchant_id"`
	Address    *string             `json:"address"`
	RequestID  *string             `json:"request_id"`
	Detail     json.RawMessage     `json:"detail"`
}

type auditActor struct {
	ID   string  `json:"id"` // of an API key, or ADMIN_API_KEY, or billctl
	Name *string `json:"name"`
}

type auditObject struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func showAudit(entry billing.AuditEntry) auditAnswer {
	detail := entry.Detail
	if len(detail) == 0 {
		detail = json.RawMessage(`{}`)
	}
	return auditAnswer{
		ID: entry.ID, At: entry.At.UTC(), Actor: auditActor{ID: entry.Actor.ID, Name: orNull(entry.Actor.Name)}, Action: entry.Action,
		Object: auditObject{Type: entry.Action.Kind(), ID: entry.Object}, MerchantID: orNull(entry.MerchantID),
		Address: orNull(entry.Actor.Address), RequestID: orNull(entry.Actor.RequestID), Detail: detail,
	}
}

func (s *Server) listAudit(c echo.Context) error {
	q := readQuery(c, "audit")
	limit := q.limit()
	after := readMark(q.after(func(last string) bool { return readMark(last).ID != "" }))
	filter := billing.AuditFilter{
		Object: strings.ToLower(q.text("object")), Actor: q.text("actor"), Action: billing.Action(q.values.Get("action")),
		From: q.moment("from"), To: q.moment("to"),
	}
	if filter.Action != "" && !filter.Action.Known() {
		q.fault("action", faultUnknownValue, "is not an action")
	}
	if err := q.faults.err(); err != nil {
		return err
	}
	entries, err := s.deps.Audit.ListAudit(c.Request().Context(), filter, limit+1, after)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, pageOf(q, entries, limit, showAudit, writeMark))
}

// writeMark is an entry's place, as a cursor holds it.
func writeMark(entry billing.AuditEntry) string {
	return strconv.FormatInt(entry.At.UnixMicro(), 10) + " " + entry.ID
}

// readMark reads what writeMark wrote; the zero mark when it cannot.
func readMark(text string) billing.AuditMark {
	micros, id, _ := strings.Cut(text, " ")
	at, err := strconv.ParseInt(micros, 10, 64)
	moment := time.UnixMicro(at).UTC()
	if err != nil || !isTaskID(id) || moment.Year() < 1 || moment.Year() > 9999 { // the form of every id, and what the database takes
		return billing.AuditMark{}
	}
	return billing.AuditMark{At: moment, ID: id}
}
