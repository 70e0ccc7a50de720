package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/internal/openapi"
	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// TestEveryStatusCanCome provokes each status that is described for an operation, and in every operation those that come before its own
// work is done: what is described and cannot come fails here, and what comes and is not described fails in the checker.
func TestEveryStatusCanCome(t *testing.T) {
	t.Parallel()
	for _, operation := range openapitest.Document().Operations {
		var statuses []int
		for _, answer := range operation.Answers {
			statuses = append(statuses, answer.Status)
		}
		if !operation.Open {
			statuses = append(statuses, 400, 401, 422, 429, 500, 503)
		}
		if !operation.Open && operation.Scope != "" {
			statuses = append(statuses, 403)
		}
		if operation.Body.Schema.Exists() {
			statuses = append(statuses, 413, 415)
		}
		slices.Sort(statuses)
		for _, status := range slices.Compact(statuses) {
			if operation.ID == "getMe" && (status == 403 || status == 500) { // any key may, and nothing is asked for it but the key
				continue
			}
			if operation.ID == "streamEvents" && (status == 200 || status == 500) { // it has no end; what fails later is a stream's end
				continue
			}
			t.Run(fmt.Sprint(operation.ID, " ", status), func(t *testing.T) {
				t.Parallel()
				if got := provoke(t, operation, status); got.Code != status {
					t.Errorf("status %d: %s", got.Code, got.Body)
				}
			})
		}
	}
}

// provoke makes an API answer an operation with a status.
func provoke(t *testing.T, operation openapi.Operation, status int) *httptest.ResponseRecorder {
	t.Helper()
	r := rightly(t, operation)
	switch status {
	case http.StatusOK, http.StatusCreated:
		return r.send(t, obliging(operation))
	case http.StatusNotModified:
		r.headers = append(r.headers, "If-None-Match: *")
	case http.StatusBadRequest:
		r.path += "?%zz"
	case http.StatusUnauthorized:
		r.headers = append(r.headers, "Authorization: Bearer wrong")
	case http.StatusForbidden:
		a := newAPI()
		scope := billing.ScopeTasksRead
		if operation.Scope == string(scope) {
			scope = billing.ScopeMerchantsRead
		}
		r.headers = append(r.headers, "Authorization: Bearer "+a.keyFor(nil, scope))
		return r.send(t, a)
	case http.StatusNotFound:
		return r.send(t, refusing(billing.CodeNotFound))
	case http.StatusConflict:
		return r.send(t, refusing(billing.CodeConflict))
	case http.StatusRequestEntityTooLarge:
		size := 64 << 10
		if operation.ID == "createTasks" {
			size = 16 << 20
		}
		r.body = strings.Repeat(" ", size) + r.body
	case http.StatusUnsupportedMediaType:
		r.body = "{}"
		r.headers = append(r.headers, "Content-Type: text/plain")
	case http.StatusUnprocessableEntity:
		r.path += "?canary=1"
	case http.StatusTooManyRequests:
		a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.WrongKeys = 1 })
		a.with(t, "wrong", "GET", "/v1/tasks", "")
		r.headers = append(r.headers, "Authorization: Bearer wrong")
		return r.send(t, a)
	case http.StatusInternalServerError:
		return r.send(t, broken())
	case http.StatusServiceUnavailable:
		a := newAPI()
		a.keys.FindFunc = func() error { return &billing.Error{Code: billing.CodeUnavailable} }
		a.health.ReadyFunc = func(context.Context) error { return &billing.Error{Code: billing.CodeUnavailable} }
		unknown, _ := httpapi.MakeKey()
		r.headers = append(r.headers, "Authorization: Bearer "+unknown)
		return r.send(t, a)
	}
	return r.send(t, newAPI())
}

// right is a request as the description has it.
type right struct {
	method, path, body string
	headers            []string
}

func rightly(t *testing.T, operation openapi.Operation) right {
	t.Helper()
	r := right{method: operation.Method, path: operation.Path}
	for _, parameter := range operation.Parameters {
		if parameter.In == "path" {
			r.path = strings.ReplaceAll(r.path, "{"+parameter.Name+"}", parameter.Example.Text())
		}
	}
	if len(operation.Body.Examples) > 0 {
		body, err := json.Marshal(operation.Body.Examples[0].Value.Value())
		if err != nil {
			t.Fatal(err)
		}
		r.body = string(body)
	}
	return r
}

func (r right) send(t *testing.T, a *api) *httptest.ResponseRecorder {
	t.Helper()
	return a.call(t, r.method, r.path, r.body, r.headers...)
}

// obliging is an API in which an operation can be done.
func obliging(operation openapi.Operation) *api {
	a := newAPI()
	for _, parameter := range operation.Parameters {
		if parameter.In == "path" { // if it is a key's
			a.keyFor(func(key *billing.APIKey) { key.ID = billing.APIKeyID(parameter.Example.Text()) }, billing.ScopeTasksRead)
		}
	}
	if operation.ID == "retryTask" {
		a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) {
			task := someTask()
			task.Status = billing.Failed
			return task, nil
		}
	}
	return a
}

// broken is an API that has nothing behind it: whatever it asks for panics.
func broken() *api {
	return newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) {
		deps.Merchants, deps.Tasks = struct{ httpapi.Merchants }{}, struct{ httpapi.Tasks }{}
		deps.Keys, deps.Audit, deps.Standing = struct{ httpapi.APIKeys }{}, struct{ httpapi.Audit }{}, struct{ httpapi.Standing }{}
	})
}

// refusing is an API whose every object refuses to be seen or changed.
func refusing(code billing.Code) *api {
	return newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) {
		err := &billing.Error{Code: code}
		deps.Merchants, deps.Tasks = refusingMerchants{err: err}, refusingTasks{err: err}
		deps.Keys = refusingKeys{err: err}
	})
}

type refusingMerchants struct {
	httpapi.Merchants
	err error
}

func (r refusingMerchants) CreateMerchant(context.Context, billing.NewMerchant) (billing.Merchant, error) {
	return billing.Merchant{}, r.err
}

func (r refusingMerchants) ViewMerchant(context.Context, billing.MerchantID) (billing.Merchant, error) {
	return billing.Merchant{}, r.err
}

func (r refusingMerchants) UpdateMerchant(context.Context, billing.MerchantID, billing.MerchantChange) (billing.Merchant, error) {
	return billing.Merchant{}, r.err
}

func (r refusingMerchants) DisconnectMerchant(context.Context, billing.MerchantID) (billing.Merchant, error) {
	return billing.Merchant{}, r.err
}

func (r refusingMerchants) PauseMerchant(context.Context, billing.MerchantID, billing.PauseReason, string) (billing.Merchant, error) {
	return billing.Merchant{}, r.err
}

func (r refusingMerchants) ResumeMerchant(context.Context, billing.MerchantID) (billing.Merchant, error) {
	return billing.Merchant{}, r.err
}

type refusingTasks struct {
	httpapi.Tasks
	err error
}

func (r refusingTasks) CreateTasks(context.Context, []billing.NewTask) ([]billing.CreatedTask, error) {
	return nil, r.err
}

func (r refusingTasks) GetTask(context.Context, billing.TaskID) (billing.Task, error) {
	return billing.Task{}, r.err
}

func (r refusingTasks) ListAttempts(context.Context, billing.TaskID) ([]billing.Attempt, error) {
	return nil, r.err
}

func (r refusingTasks) ListChain(context.Context, billing.TaskID) ([]billing.Task, error) {
	return nil, r.err
}

func (r refusingTasks) CancelTask(context.Context, billing.TaskID) (billing.Task, error) {
	return billing.Task{}, r.err
}

func (r refusingTasks) RescheduleTask(context.Context, billing.TaskID, time.Time) (billing.Task, error) {
	return billing.Task{}, r.err
}

func (r refusingTasks) ResolveTask(context.Context, billing.TaskID, billing.Resolution) (billing.Task, error) {
	return billing.Task{}, r.err
}

type refusingKeys struct {
	httpapi.APIKeys
	err error
}

func (r refusingKeys) GetAPIKey(context.Context, billing.APIKeyID) (billing.APIKey, error) {
	return billing.APIKey{}, r.err
}

func (r refusingKeys) RevokeAPIKey(context.Context, billing.APIKeyID) (billing.APIKey, error) {
	return billing.APIKey{}, r.err
}

func (r refusingKeys) RotateAPIKey(context.Context, billing.APIKeyID, billing.Rotation) (billing.APIKey, error) {
	return billing.APIKey{}, r.err
}
