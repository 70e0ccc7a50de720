package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// API is what is looked at of an API; [client.Client] is one.
type API interface {
	Do(ctx context.Context, call client.Call) (json.RawMessage, error)
}

// keyEnds is how long before its end a key should be replaced.
const keyEnds = 14 * 24 * time.Hour

// api looks at the installation as its clients see it.
func (e *examination) api(ctx context.Context) {
	if !e.ready(ctx) || !e.me(ctx) {
		return
	}
	e.overview(ctx)
	e.apiWorkers(ctx)
	e.apiKeys(ctx)
}

// ready reports whether it answers at all.
func (e *examination) ready(ctx context.Context) bool {
	what := advice{do: "see that an api runs where the URL says, and can be reached from here"}
	_, err := e.API.Do(ctx, client.Call{Method: http.MethodGet, Path: "/readyz"})
	var problem *client.Problem
	switch {
	case err == nil:
		e.ok("the API answers, and says that it is ready%s", e.version(ctx))
		return true
	case !errors.As(err, &problem):
		e.fail(what, "the API does not answer: %v", err)
	case problem.Status == http.StatusServiceUnavailable:
		e.fail(advice{do: "look at /readyz?verbose on its ops address: it names the check that fails", page: "docs/runbook.md#postgresql-is-away"},
			"the API answers, and says that it is not ready")
	default:
		e.fail(what, "something else than a billonce API answers: %d", problem.Status)
	}
	return false
}

// version is what the API's description says of itself.
func (e *examination) version(ctx context.Context) string {
	text, err := e.API.Do(ctx, client.Call{Method: http.MethodGet, Path: "/openapi.yaml"})
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text[:min(len(text), 4<<10)])) {
		if version, found := strings.CutPrefix(line, "  version: "); found {
			return ", by version " + strings.Trim(strings.TrimSpace(version), `'"`) + " of its description"
		}
	}
	return ""
}

// me reports whether the key opens anything.
func (e *examination) me(ctx context.Context) bool {
	me, err := ask[client.Me](ctx, e.API, "/v1/me")
	var problem *client.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		e.fail(advice{do: "give billctl another key", page: "docs/runbook.md#a-client-gets-401-403-429-or-503"}, "the API does not take the key")
		return false
	case err != nil:
		e.blindAPI("whose key it is", err)
		return true
	}
	scopes := make([]string, len(me.Scopes))
	for i, scope := range me.Scopes {
		scopes[i] = string(scope)
	}
	if me.ExpiresAt != nil && me.ExpiresAt.Sub(e.Now()) < keyEnds {
		e.warn(advice{do: "make another in its place: billctl apikeys rotate", page: "docs/runbook.md#a-key-has-leaked"},
			"the key %q ends %s", me.Name, me.ExpiresAt.UTC().Format(time.RFC3339))
	}
	e.ok("the key is %q, with %s", me.Name, strings.Join(scopes, ", "))
	return true
}

func (e *examination) overview(ctx context.Context) {
	seen, err := ask[client.Overview](ctx, e.API, "/v1/overview")
	if err != nil {
		e.blindAPI("the overview", err)
		return
	}
	more := ""
	if seen.Attention.Capped {
		more = " or more"
	}
	if n := seen.Attention.Overdue; n > 0 {
		e.fail(advice{do: "see whether workers are alive and have free slots; billctl tasks list --attention shows them", page: "docs/runbook.md#workers-fall-silent"},
			"%d%s tasks have been due for over %s", n, more, billing.OverdueAfter)
	}
	if n := seen.Attention.InDoubt; n > 0 {
		e.warn(advice{do: "look at each: billctl tasks list --status in_doubt", page: "docs/runbook.md#a-task-is-in-doubt"}, "%d%s tasks are in doubt", n, more)
	}
	if n := seen.Attention.PausedMerchants; n > 0 {
		e.warn(advice{do: "see why: billctl merchants list; their tasks wait", page: "docs/runbook.md#a-merchant-is-paused-with-needs_reauth"}, "%d%s merchants are paused", n, more)
	}
	if seen.Attention.Overdue+seen.Attention.InDoubt+seen.Attention.PausedMerchants == 0 {
		e.ok("nothing needs a person")
	}
	if keys := seen.Encryption; keys != nil && keys.State == "rotating" {
		e.warn(advice{do: "run billctl keys rotate to its end", page: keysPage}, "the encryption key is being rotated")
	}
}

func (e *examination) apiWorkers(ctx context.Context) {
	if e.Database != nil {
		return // they have been looked at
	}
	workers, err := ask[client.WorkerPage](ctx, e.API, "/v1/workers")
	if err != nil {
		e.blindAPI("the workers", err)
		return
	}
	alive, slots := 0, 0
	versions := map[string]int{}
	var silent []string
	for _, worker := range workers.Data {
		if !worker.Alive {
			silent = append(silent, fmt.Sprintf("%s (since %s)", worker.Host, worker.HeartbeatAt.UTC().Format(time.RFC3339)))
			continue
		}
		alive, slots = alive+1, slots+worker.Slots
		versions[worker.Version]++
	}
	e.workersSeen(alive, slots, versions, silent)
}

func (e *examination) apiKeys(ctx context.Context) {
	seen, err := ask[client.Encryption](ctx, e.API, "/v1/encryption")
	if err != nil {
		e.blindAPI("the encryption keys", err)
		return
	}
	retired := 0
	for _, key := range seen.Keys {
		if key.RetiredAt != nil {
			retired += key.Tokens
		}
	}
	rotate := advice{do: "run billctl keys rotate", page: keysPage}
	switch {
	case retired > 0:
		e.fail(rotate, "%d tokens are sealed with keys that are retired", retired)
	case seen.Rotation.Left > 0:
		e.warn(rotate, "of %d tokens, %d are not sealed with the present key or bound to no place", seen.Rotation.Total, seen.Rotation.Left)
	default:
		e.ok("%d stored tokens, all sealed with the present key and bound to their places", seen.Rotation.Total)
	}
}

// blindAPI says that something could not be asked for.
func (e *examination) blindAPI(what string, err error) {
	var problem *client.Problem
	if errors.As(err, &problem) {
		switch problem.Status {
		case http.StatusForbidden:
			e.warn(advice{do: "use a key with more scopes, or DATABASE_URL"}, "%s could not be looked at: the key does not allow it", what)
			return
		case http.StatusNotFound:
			e.warn(advice{do: "upgrade the api, or use the billctl of its release"}, "%s could not be looked at: the API is older than this billctl", what)
			return
		}
	}
	e.fail(advice{do: "look at the api's log for the request id", page: "docs/runbook.md#a-client-gets-401-403-429-or-503"}, "%s could not be asked for: %v", what, err)
}

// ask reads one document.
func ask[T any](ctx context.Context, api API, path string) (T, error) {
	var answer T
	raw, err := api.Do(ctx, client.Call{Method: http.MethodGet, Path: path})
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}
