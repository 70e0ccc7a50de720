package console_test

import "time"

func sampleTask(changes ...object) object {
	task := object{
		"id": taskID, "merchant_id": merchantID, "kind": "invoice.pay", "target": "in_1abc", "params": object{}, "metadata": object{},
		"status": "pending", "run_at": "2035-01-01T09:00:00Z", "scheduled_for": "2035-01-01T09:00:00Z", "attempt": 0, "max_attempts": 100,
		"idempotency_key": "task_" + taskID, "retry_of": nil, "first_sent_at": nil, "result": nil, "last_error": nil,
		"created_at": updatedAt, "updated_at": updatedAt, "finished_at": nil, "retried_by": nil, "intent": nil, "on_decline": nil,
		"declines": 0, "waiting_since": nil, "look_at": nil, "resolution": nil,
	}
	for _, one := range changes {
		for name, value := range one {
			task[name] = value
		}
	}
	return task
}

// failedTask has been declined, and sent once.
func failedTask() object {
	return sampleTask(object{
		"status": "failed", "attempt": 1, "first_sent_at": updatedAt, "finished_at": updatedAt, "last_error": object{
			"http_status": 402, "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "param": "",
			"message": "the payment method was declined", "request_id": "req_declined1",
		},
	})
}

// doubtfulTask may have taken effect.
func doubtfulTask() object {
	return sampleTask(object{"status": "in_doubt", "attempt": 1, "first_sent_at": updatedAt, "look_at": nil})
}

func sampleMerchant(changes ...object) object {
	merchant := object{
		"id": merchantID, "name": "Alma's Bakery", "stripe_connect_id": "acct_1Alma", "livemode": false, "status": "active",
		"pause_reason": nil, "pause_detail": nil, "has_access_token": true, "has_refresh_token": false,
		"created_at": updatedAt, "updated_at": updatedAt,
	}
	for _, one := range changes {
		for name, value := range one {
			merchant[name] = value
		}
	}
	return merchant
}

func sampleAttempts() object {
	began := "2026-03-01T12:00:00.000000Z"
	return object{"next_cursor": nil, "data": []object{
		{
			"attempt": 1, "kind": "send", "worker_id": keyID, "started_at": began, "finished_at": "2026-03-01T12:00:00.250000Z",
			"outcome": "refused", "reason": "declined", "replayed": false, "request_id": "req_declined1", "evidence": []object{}, "error": object{
				"http_status": 402, "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "param": "source",
				"message": "the payment method was declined", "request_id": "req_declined1",
			},
		},
		{
			"attempt": 1, "kind": "look", "worker_id": keyID, "started_at": began, "finished_at": "2026-03-01T12:00:02.500000Z",
			"outcome": "unknown", "reason": "no_trace", "replayed": false, "request_id": nil, "error": nil, "evidence": []object{{
				"source": "events", "http_status": 200, "object": "invoice.paid", "id": "in_1abc", "event_id": "evt_1", "status": "paid",
				"request_id": "req_other1", "idempotency_key": "", "at": began, "note": "another request paid it",
			}},
		},
	}}
}

func sampleOverview() object {
	var steps []object
	at := time.Date(2026, 3, 1, 6, 5, 0, 0, time.UTC)
	for i := range 72 {
		steps = append(steps, object{
			"at": at.Add(time.Duration(i) * 5 * time.Minute).Format(time.RFC3339), "succeeded": 10 * (i % 3), "failed": i % 2, "in_doubt": 0, "retried": i % 5,
		})
	}
	return object{
		"now": "2026-03-01T12:03:00Z", "due": object{"count": 1234, "capped": false, "oldest_run_at": updatedAt, "oldest_age_seconds": 420},
		"tasks":     sampleCounts()["data"],
		"attention": object{"in_doubt": 3, "overdue": 2, "paused_merchants": 1, "capped": false}, "outcomes": steps,
		"workers": object{"alive": 2, "silent": 1, "slots": 64, "busy": 7}, "encryption": object{"state": "ok", "write_key": "3f9c0a61d2b74e58"},
	}
}

func sampleCounts() object {
	return object{"data": []object{
		{"status": "pending", "count": 12, "capped": false},
		{"status": "running", "count": 0, "capped": false},
		{"status": "succeeded", "count": 10000, "capped": true},
		{"status": "failed", "count": 1, "capped": false},
		{"status": "in_doubt", "count": 3, "capped": false},
		{"status": "canceled", "count": 0, "capped": false},
	}}
}

// page is one of a list of tasks.
func page(data ...object) object {
	made := list(data...)
	made["searched_to"] = nil
	return made
}

func list(data ...object) object {
	if data == nil {
		data = []object{}
	}
	return object{"data": data, "next_cursor": nil}
}

// sampleAnswers has one for each call that a page makes.
func sampleAnswers() map[string]any {
	task, merchant := "/v1/tasks/"+taskID, "/v1/merchants/"+merchantID
	return map[string]any{
		"GET /v1/overview":             sampleOverview(),
		"GET /v1/tasks":                page(sampleTask()),
		"GET /v1/tasks/counts":         sampleCounts(),
		"GET " + task:                  sampleTask(),
		"GET " + task + "/attempts":    sampleAttempts(),
		"GET " + task + "/chain":       page(sampleTask()),
		"POST " + task + "/cancel":     sampleTask(object{"status": "canceled"}),
		"POST " + task + "/reschedule": sampleTask(),
		"POST " + task + "/retry":      sampleTask(object{"id": nextTaskID}),
		"POST " + task + "/resolve":    sampleTask(object{"status": "failed"}),
		"POST /v1/tasks/bulk":          object{"matched": 4, "capped": false, "changed": 0, "refused": 0, "as_of": updatedAt, "more": true, "next_cursor": nil, "searched_to": nil},
		"GET /v1/merchants":            list(sampleMerchant()),
		"GET " + merchant:              sampleMerchant(),
		"POST " + merchant + "/pause":  sampleMerchant(object{"status": "paused"}),
		"POST " + merchant + "/resume": sampleMerchant(),
		"GET /v1/workers": list(object{
			"id": keyID, "host": "worker-1", "version": "v1.0.0", "slots": 32, "busy": 5, "started_at": updatedAt, "heartbeat_at": ago(time.Second),
			"alive": true, "draining": false,
		}),
		"GET /v1/api_keys": list(object{
			"id": keyID, "name": "the night shift", "hint": "bo_live_0123", "scopes": []string{"tasks:read"}, "merchant_id": nil, "status": "active",
			"created_at": updatedAt, "created_by": "ADMIN_API_KEY", "expires_at": nil, "last_used_at": nil, "revoked_at": nil, "replaced_by": nil,
		}),
		"GET /v1/encryption": object{
			"write_key": "3f9c0a61d2b74e58", "tokens": 10, "unnamed": 0, "unbound": 1, "rotation": object{"total": 10, "left": 4}, "keys": []object{{
				"id": "3f9c0a61d2b74e58", "tokens": 6, "unbound": 1, "sealings": 256, "retired_at": nil, "first_used_at": updatedAt,
			}},
		},
		"GET /v1/audit": list(object{
			"id": nextTaskID, "at": updatedAt, "actor": object{"id": keyID, "name": "the night shift"}, "action": "task.cancel",
			"object": object{"type": "task", "id": taskID}, "merchant_id": merchantID, "address": "192.0.2.7", "request_id": "req-1",
			"detail": object{"reason": "asked for by the shop"},
		}),
	}
}
