package httpapi_test

import (
	"testing"

	"billonce/pkg/billing"
)

func TestAttemptsPage(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.AttemptsFunc = func(billing.TaskID) ([]billing.Attempt, error) {
		var attempts []billing.Attempt
		for n := 1; n <= 3; n++ {
			attempts = append(attempts, billing.Attempt{
				Number: n, Kind: billing.AttemptSend, WorkerID: "w", StartedAt: noon, FinishedAt: noon,
				Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer,
			})
		}
		return attempts, nil
	}
	type answer struct {
		Data       []struct{ Attempt int }
		NextCursor *string `json:"next_cursor"`
	}
	first := decode[answer](t, a.call(t, "GET", "/v1/tasks/"+taskID+"/attempts?limit=2", ""))
	if len(first.Data) != 2 || first.NextCursor == nil {
		t.Fatalf("%+v", first)
	}
	second := decode[answer](t, a.call(t, "GET", "/v1/tasks/"+taskID+"/attempts?limit=2&cursor="+*first.NextCursor, ""))
	if len(second.Data) != 1 || second.Data[0].Attempt != 3 || second.NextCursor != nil {
		t.Errorf("%+v", second)
	}
}

func TestAnEmptyListIsAnArray(t *testing.T) {
	t.Parallel()
	if got := newAPI().call(t, "GET", "/v1/tasks", "").Body.String(); got != `{"data":[],"next_cursor":null,"searched_to":null}`+"\n" {
		t.Error(got)
	}
}
