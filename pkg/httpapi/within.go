package httpapi

import (
	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// A key may be for one merchant only. To its caller the others do not exist: their objects answer 404, lists leave them out, and
// scheduling for one is refused as for a merchant that nobody knows.

// sees reports whether the caller may know of a merchant's objects.
func (who caller) sees(merchant billing.MerchantID) bool {
	return who.merchant == "" || who.merchant == merchant
}

// merchantID reads the merchant that the path names. The error has code [billing.CodeNotFound] when the caller may not know of it.
func merchantID(c echo.Context) (billing.MerchantID, error) {
	id, err := billing.ParseMerchantID(c.Param("id"))
	if err != nil {
		return "", err
	}
	if !callerOf(c).sees(id) {
		return "", &billing.Error{Code: billing.CodeNotFound, Message: "no such merchant"}
	}
	return id, nil
}

// taskID reads the task that the path names. The error has code [billing.CodeNotFound] when the caller may not know of it, which
// takes a look at the task; whose task it is never changes.
func (s *Server) taskID(c echo.Context) (billing.TaskID, error) {
	id, err := billing.ParseTaskID(c.Param("id"))
	if err != nil {
		return "", err
	}
	who := callerOf(c)
	if who.merchant == "" {
		return id, nil
	}
	task, err := s.deps.Tasks.GetTask(c.Request().Context(), id)
	if err != nil {
		return "", err
	}
	if !who.sees(task.MerchantID) {
		return "", &billing.Error{Code: billing.CodeNotFound, Message: "no such task"}
	}
	return id, nil
}
