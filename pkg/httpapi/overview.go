package httpapi

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

type overviewAnswer struct {
	Now        time.Time           `json:"now"`
	Due        dueAnswer           `json:"due"`
	Tasks      []statusCountAnswer `json:"tasks"`
	Attention  attentionAnswer     `json:"attention"`
	Outcomes   []outcomeStepAnswer `json:"outcomes"`
	Workers    *workersAnswer      `json:"workers"`
	Encryption *keyStateAnswer     `json:"encryption"`
}

type dueAnswer struct {
	Count            int        `json:"count"`
	Capped           bool       `json:"capped"`
	OldestRunAt      *time.Time `json:"oldest_run_at"`
	OldestAgeSeconds int64      `json:"oldest_age_seconds"`
}

type attentionAnswer struct {
	InDoubt         int  `json:"in_doubt"`
	Overdue         int  `json:"overdue"`
	PausedMerchants int  `json:"paused_merchants"`
	Capped          bool `json:"capped"`
}

type outcomeStepAnswer struct {
	At        time.Time `json:"at"`
	Succeeded int       `json:"succeeded"`
	Failed    int       `json:"failed"`
	InDoubt   int       `json:"in_doubt"`
	Retried   int       `json:"retried"`
}

type workersAnswer struct {
	Alive  int `json:"alive"`
	Silent int `json:"silent"`
	Slots  int `json:"slots"`
	Busy   int `json:"busy"`
}

// The states of encryption.
const (
	encryptionOK       = "ok"
	encryptionRotating = "rotating"
	encryptionNone     = "none"
)

type keyStateAnswer struct {
	State    string  `json:"state"`
	WriteKey *string `json:"write_key"`
}

func showOverview(overview billing.Overview) overviewAnswer {
	answer := overviewAnswer{
		Now:   overview.Now.UTC(),
		Due:   dueAnswer{Count: overview.Due.N, Capped: overview.Due.Capped, OldestRunAt: utc(overview.OldestDue)},
		Tasks: showCounts(overview.Tasks),
		Attention: attentionAnswer{
			Overdue: overview.Overdue.N, PausedMerchants: overview.Paused.N, Capped: overview.Overdue.Capped || overview.Paused.Capped,
		},
		Outcomes: make([]outcomeStepAnswer, len(overview.Outcomes)),
	}
	if overview.OldestDue != nil {
		answer.Due.OldestAgeSeconds = max(int64(overview.Now.Sub(*overview.OldestDue)/time.Second), 0)
	}
	for _, count := range overview.Tasks {
		if count.Status == billing.InDoubt {
			answer.Attention.InDoubt = count.N
			answer.Attention.Capped = answer.Attention.Capped || count.Capped
		}
	}
	for i, step := range overview.Outcomes {
		answer.Outcomes[i] = outcomeStepAnswer{
			At: step.At.UTC(), Succeeded: step.Succeeded, Failed: step.Failed, InDoubt: step.InDoubt, Retried: step.Retried,
		}
	}
	if of := overview.Workers; of != nil {
		answer.Workers = &workersAnswer{Alive: of.Alive, Silent: of.Silent, Slots: of.Slots, Busy: of.Busy}
	}
	if of := overview.Keys; of != nil {
		answer.Encryption = &keyStateAnswer{State: encryptionOK, WriteKey: orNull(of.WriteKey)}
		switch {
		case of.WriteKey == "":
			answer.Encryption.State = encryptionNone
		case of.Rotating:
			answer.Encryption.State = encryptionRotating
		}
	}
	return answer
}

func (s *Server) getOverview(c echo.Context) error {
	overview, err := s.overviews.get(c.Request().Context(), callerOf(c).merchant)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, showOverview(overview))
}

type workerAnswer struct {
	ID          billing.WorkerID `json:"id"`
	Host        string           `json:"host"`
	Version     string           `json:"version"`
	Slots       int              `json:"slots"`
	Busy        int              `json:"busy"`
	StartedAt   time.Time        `json:"started_at"`
	HeartbeatAt time.Time        `json:"heartbeat_at"`
	Alive       bool             `json:"alive"`
	Draining    bool             `json:"draining"`
}

// mostWorkers are shown: more than any installation has, and few enough for one page.
const mostWorkers = 1000

func (s *Server) listWorkers(c echo.Context) error {
	if callerOf(c).merchant != "" {
		return &billing.Error{Code: billing.CodeForbidden, Message: "the API key is for one merchant, and this is about all"}
	}
	workers, err := s.deps.Standing.ListWorkers(c.Request().Context(), mostWorkers)
	if err != nil {
		return err
	}
	answer := page[workerAnswer]{Data: make([]workerAnswer, len(workers))}
	for i, worker := range workers {
		answer.Data[i] = workerAnswer{
			ID: worker.ID, Host: worker.Hostname, Version: worker.Version, Slots: worker.Concurrency, Busy: worker.Busy,
			StartedAt: worker.StartedAt.UTC(), HeartbeatAt: worker.HeartbeatAt.UTC(), Alive: worker.Alive, Draining: worker.Draining,
		}
	}
	return s.answer(c, http.StatusOK, answer)
}

type encryptionAnswer struct {
	WriteKey *string               `json:"write_key"`
	Keys     []encryptionKeyAnswer `json:"keys"`
	Tokens   int                   `json:"tokens"`
	Unnamed  int                   `json:"unnamed"`
	Unbound  int                   `json:"unbound"`
	Rotation rotationAnswer        `json:"rotation"`
}

type encryptionKeyAnswer struct {
	ID          string     `json:"id"`
	Tokens      int        `json:"tokens"`
	Unbound     int        `json:"unbound"`
	Sealings    int64      `json:"sealings"`
	RetiredAt   *time.Time `json:"retired_at"`
	FirstUsedAt *time.Time `json:"first_used_at"`
}

type rotationAnswer struct {
	Total int `json:"total"`
	Left  int `json:"left"`
}

func (s *Server) getEncryption(c echo.Context) error {
	keys, err := s.encryption.get(c.Request().Context(), struct{}{})
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, showEncryption(keys))
}

func showEncryption(keys []billing.EncryptionKey) encryptionAnswer {
	answer := encryptionAnswer{Keys: []encryptionKeyAnswer{}}
	for _, key := range keys {
		answer.Tokens += key.Tokens
		answer.Unbound += key.Unbound
		if key.Active {
			answer.WriteKey = orNull(key.ID)
			answer.Rotation.Left += key.Unbound
		} else {
			answer.Rotation.Left += key.Tokens
		}
		if key.ID == "" {
			answer.Unnamed = key.Tokens
			continue
		}
		shown := encryptionKeyAnswer{ID: key.ID, Tokens: key.Tokens, Unbound: key.Unbound, Sealings: key.Sealings, RetiredAt: utc(key.RetiredAt)}
		if key.Known {
			shown.FirstUsedAt = utc(&key.CreatedAt)
		}
		answer.Keys = append(answer.Keys, shown)
	}
	answer.Rotation.Total = answer.Tokens
	return answer
}

type meAnswer struct {
	ID         *string             `json:"id"`
	Name       string              `json:"name"`
	Scopes     []billing.Scope     `json:"scopes"`
	MerchantID *billing.MerchantID `json:"merchant_id"`
	ExpiresAt  *time.Time          `json:"expires_at"`
}

// getMe says whose key was sent; ADMIN_API_KEY has no id.
func (s *Server) getMe(c echo.Context) error {
	who := callerOf(c)
	answer := meAnswer{Name: who.name, Scopes: who.scopes, MerchantID: orNull(who.merchant), ExpiresAt: utc(who.expires)}
	if who.actor == billing.ActorAdmin {
		answer.Name = billing.ActorAdmin
	} else {
		answer.ID = &who.actor
	}
	return s.answer(c, http.StatusOK, answer)
}
