package store_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// newTask returns a task that pays an invoice now.
func newTask(t testing.TB, merchant billing.MerchantID) billing.NewTask {
	t.Helper()
	id := storetest.NewID(t)
	return billing.NewTask{
		ID: billing.TaskID(id), MerchantID: merchant, Kind: billing.InvoicePay, Target: "in_" + id, // no two at one object
		Params: json.RawMessage(`{}`), MaxAttempts: 5,
		Request: billing.Request{Method: "POST", Path: "/v1/invoices/in_1/pay", APIVersion: "2023-10-16"},
	}
}

func schedule(t testing.TB, db *storetest.DB, tasks ...billing.NewTask) []billing.CreatedTask {
	t.Helper()
	created, err := db.Store.CreateTasks(context.Background(), tasks)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func register(t testing.TB, db *storetest.DB, lease time.Duration) billing.WorkerID {
	t.Helper()
	id := billing.WorkerID(storetest.NewID(t))
	err := db.Store.RegisterWorker(context.Background(), billing.Worker{ID: id, Hostname: "test", PID: 1, Version: "test", Concurrency: 10, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func claim(t testing.TB, db *storetest.DB, worker billing.WorkerID, limit int) []billing.Claim {
	t.Helper()
	db.Store.Sweep() // tests move run_at where no code of ours would
	batch, err := db.Store.Claim(context.Background(), worker, limit)
	if err != nil {
		t.Fatal(err)
	}
	return batch.Claims
}

func get(t testing.TB, db *storetest.DB, id billing.TaskID) billing.Task {
	t.Helper()
	task, err := db.Store.GetTask(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func settlement(c billing.Claim, status billing.Status, outcome billing.Outcome, reason billing.Reason) billing.Settlement {
	s := billing.Settlement{
		ID: c.ID, Worker: c.Worker, Attempt: c.Attempt, ClaimedAt: c.ClaimedAt, Status: status,
		Answer: billing.Answer{Outcome: outcome, Reason: reason},
	}
	if outcome == billing.OutcomeSucceeded {
		s.Answer.Result = &billing.Result{Object: "invoice", ID: "in_1", Status: "paid", RequestID: "req_1"}
	} else {
		s.Answer.Error = &billing.StripeError{HTTPStatus: 500, RequestID: "req_2", Message: "no"}
	}
	return s
}

func settle(t testing.TB, db *storetest.DB, settlements ...billing.Settlement) []billing.TaskID {
	t.Helper()
	ids, err := db.Store.Settle(context.Background(), settlements)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func wantCode(t testing.TB, err error, code billing.Code) {
	t.Helper()
	if got := billing.CodeOf(err); got != code {
		t.Fatalf("got error %v (code %q), want code %q", err, got, code)
	}
}
