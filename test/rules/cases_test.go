package rules_test

import "time"

// sample is a past, and what an alert makes of it.
type sample struct {
	alert, name string
	series      []string
	at          time.Duration // fires at this moment; or, if silent, is evaluated until then
	silent      bool
	since       time.Duration // silent from then on: a Prometheus that has just begun takes all that it sees for new
}

const (
	minute = time.Minute
	hour   = time.Hour
)

var cases = []sample{
	{alert: "BillonceTasksWait", name: "LongEnough", at: 6 * minute, series: []string{`billonce_oldest_due_task_age_seconds{instance="a"} 90x40`}},
	{alert: "BillonceTasksWait", name: "ABriefWait", at: 20 * minute, silent: true, series: []string{`billonce_oldest_due_task_age_seconds{instance="a"} 90x8 10x30`}},
	{alert: "BillonceTasksWait", name: "WithinAMinute", at: 20 * minute, silent: true, series: []string{`billonce_oldest_due_task_age_seconds{instance="a"} 55x40`}},
	{alert: "BillonceTasksOverdue", name: "LongEnough", at: 6 * minute, series: []string{
		`billonce_oldest_due_task_age_seconds{instance="a"} 700x40`, `billonce_oldest_due_task_age_seconds{instance="b"} 700x40`,
	}},
	{alert: "BillonceTasksOverdue", name: "NineMinutes", at: 20 * minute, silent: true, series: []string{`billonce_oldest_due_task_age_seconds{instance="a"} 540x40`}},
	{alert: "BillonceNoWorker", name: "OnlyAnApi", at: 3 * minute, series: []string{`billonce_build_info{service="api"} 1x20`}},
	{alert: "BillonceNoWorker", name: "ItEnded", at: 6 * minute, series: []string{`billonce_build_info{service="worker"} 1x4 stale`}},
	{alert: "BillonceNoWorker", name: "ThereIsOne", at: 9 * minute, silent: true, series: []string{`billonce_build_info{service="worker"} 1x20`}},
	{alert: "BillonceClaimsLate", name: "NoneForAWhile", at: 8 * minute, series: []string{`billonce_worker_last_claim_timestamp_seconds{instance="w"} 0x20`}},
	{alert: "BillonceClaimsLate", name: "EachSecond", at: 9 * minute, silent: true, series: []string{`billonce_worker_last_claim_timestamp_seconds{instance="w"} 0+30x20`}},
	{alert: "BillonceTasksInDoubt", name: "ForAnHour", at: 61 * minute, series: []string{`billonce_tasks_in_doubt{instance="a"} 2x130`}},
	{alert: "BillonceTasksInDoubt", name: "UntilALook", at: 65 * minute, silent: true, series: []string{`billonce_tasks_in_doubt{instance="a"} 2x80 0x60`}},
	{alert: "BillonceManyDoubts", name: "OneAfterTheOther", at: 15 * minute, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="server_error"} 0+1x40`}},
	{alert: "BillonceManyDoubts", name: "AllAtOnce", at: 25 * minute, series: []string{
		`billonce_tasks_doubted_total{kind="invoice.pay",reason="server_error"} _x40 8x40`,
		`billonce_tasks_doubted_total{kind="refund.create",reason="server_error"} _x40 4x40`,
	}},
	{alert: "BillonceManyDoubts", name: "AFew", at: 40 * minute, silent: true, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="server_error"} 0x40 5x60`}},
	{alert: "BillonceManyDoubts", name: "LongAgo", at: 60 * minute, since: 21 * minute, silent: true, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="server_error"} 50x130`}},
	{alert: "BillonceRequestMismatch", name: "TheFirst", at: 15 * minute, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="key_mismatch"} _x20 1x60`}},
	{alert: "BillonceRequestMismatch", name: "AnotherOne", at: 95 * minute, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="request_changed"} 1x180 2x60`}},
	{alert: "BillonceRequestMismatch", name: "AnotherReason", at: 30 * minute, silent: true, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="server_error"} _x20 1x60`}},
	{alert: "BillonceRequestMismatch", name: "LongAgo", at: 100 * minute, since: 66 * minute, silent: true, series: []string{`billonce_tasks_doubted_total{kind="invoice.pay",reason="key_mismatch"} 1x240`}},
	{alert: "BillonceTasksFailFast", name: "AFifth", at: 5 * minute, series: []string{
		`billonce_tasks_finished_total{kind="invoice.pay",status="failed",reason="invalid"} 0+20x40`,
		`billonce_tasks_finished_total{kind="invoice.pay",status="succeeded",reason="done"} 0+80x40`,
	}},
	{alert: "BillonceTasksFailFast", name: "Declines", at: 20 * minute, silent: true, series: []string{
		`billonce_tasks_finished_total{kind="invoice.pay",status="failed",reason="declined"} 0+50x40`,
		`billonce_tasks_finished_total{kind="invoice.pay",status="succeeded",reason="done"} 0+50x40`,
	}},
	{alert: "BillonceTasksFailFast", name: "ATenth", at: 20 * minute, silent: true, series: []string{
		`billonce_tasks_finished_total{kind="invoice.pay",status="failed",reason="invalid"} 0+10x40`,
		`billonce_tasks_finished_total{kind="invoice.pay",status="succeeded",reason="done"} 0+90x40`,
	}},
	{alert: "BillonceTasksFailFast", name: "TheOneOfANight", at: 20 * minute, silent: true, series: []string{
		`billonce_tasks_finished_total{kind="invoice.pay",status="failed",reason="invalid"} 0x10 1x40`,
		`billonce_tasks_finished_total{kind="invoice.pay",status="succeeded",reason="done"} 3x50`,
	}},
	{alert: "BillonceTasksFailSlowly", name: "ATwelfth", at: 20 * minute, series: []string{
		`billonce_tasks_finished_total{kind="invoice.pay",status="failed",reason="invalid"} 0+8x60`,
		`billonce_tasks_finished_total{kind="invoice.pay",status="succeeded",reason="done"} 0+92x60`,
	}},
	{alert: "BillonceTasksFailSlowly", name: "ATwentieth", at: 30 * minute, silent: true, series: []string{
		`billonce_tasks_finished_total{kind="invoice.pay",status="failed",reason="invalid"} 0+5x60`,
		`billonce_tasks_finished_total{kind="invoice.pay",status="succeeded",reason="done"} 0+95x60`,
	}},
	{alert: "BillonceArchiveLags", name: "ThreeDaysBehind", at: 6*hour + 10*minute, series: []string{`billonce_oldest_finished_task_age_seconds{instance="w"} 34819200x760`}},
	{alert: "BillonceArchiveLags", name: "AsItShould", at: 7 * hour, silent: true, series: []string{`billonce_oldest_finished_task_age_seconds{instance="w"} 34560300x860`}},
	{alert: "BillonceTakeOvers", name: "AWorkerDied", at: 7 * minute, series: []string{`billonce_tasks_taken_over_total{instance="w"} 0x10 3x30`}},
	{alert: "BillonceTakeOvers", name: "LongAgo", at: 20 * minute, silent: true, series: []string{`billonce_tasks_taken_over_total{instance="w"} 3x60`}},
	{alert: "BillonceHeartbeatsFail", name: "NoneArrive", at: 6 * minute, series: []string{`billonce_heartbeat_failures_total{instance="w"} 0+1x30`}},
	{alert: "BillonceHeartbeatsFail", name: "DeclaredDead", at: 7 * minute, series: []string{`billonce_leases_lost_total{instance="w"} 0x10 1x30`}},
	{alert: "BillonceHeartbeatsFail", name: "OneIsMissed", at: 15 * minute, silent: true, series: []string{`billonce_heartbeat_failures_total{instance="w"} 0x10 1x30`}},
	{alert: "BillonceSettlementsFail", name: "AllTheTime", at: 12 * minute, series: []string{`billonce_settle_failures_total{instance="w"} 0+1x30`}},
	{alert: "BillonceSettlementsFail", name: "AHiccup", at: 20 * minute, silent: true, series: []string{`billonce_settle_failures_total{instance="w"} 0x5 3x50`}},
	{alert: "BillonceWorkersFull", name: "AllBusy", at: 16 * minute, series: []string{`billonce_worker_busy{instance="w"} 98x40`, `billonce_worker_slots{instance="w"} 100x40`}},
	{alert: "BillonceWorkersFull", name: "RoomLeft", at: 20 * minute, silent: true, series: []string{
		`billonce_worker_busy{instance="w"} 100x40`, `billonce_worker_slots{instance="w"} 100x40`, `billonce_worker_busy{instance="x"} 50x40`, `billonce_worker_slots{instance="x"} 100x40`,
	}},
	{alert: "BillonceStripeUnreachable", name: "NoAnswers", at: 7 * minute, series: []string{
		`billonce_stripe_requests_total{op="invoice.pay",code="none"} 0+40x30`, `billonce_stripe_requests_total{op="invoice.pay",code="503"} 0+20x30`,
		`billonce_stripe_requests_total{op="invoice.pay",code="200"} 0+40x30`,
	}},
	{alert: "BillonceStripeUnreachable", name: "Declines", at: 14 * minute, silent: true, series: []string{
		`billonce_stripe_requests_total{op="invoice.pay",code="402"} 0+90x30`, `billonce_stripe_requests_total{op="invoice.pay",code="none"} 0+10x30`,
	}},
	{alert: "BillonceStripeUnreachable", name: "NothingToDo", at: 14 * minute, silent: true, series: []string{`billonce_stripe_requests_total{op="invoice.pay",code="none"} 7x30`}},
	{alert: "BillonceStripeRateLimits", name: "TwoASecond", at: 14 * minute, series: []string{`billonce_stripe_rate_limited_total{instance="w"} 0+60x30`}},
	{alert: "BillonceStripeRateLimits", name: "OneInAWhile", at: 14 * minute, silent: true, series: []string{`billonce_stripe_rate_limited_total{instance="w"} 0+15x30`}},
	{alert: "BillonceNoApi", name: "OnlyAWorker", at: 3 * minute, series: []string{`billonce_build_info{service="worker"} 1x20`}},
	{alert: "BillonceNoApi", name: "ThereIsOne", at: 9 * minute, silent: true, series: []string{`billonce_build_info{service="api"} 1x20`}},
	{alert: "BillonceApiErrorsFast", name: "TwoInAHundred", at: 8 * minute, series: []string{
		`billonce_http_requests_total{method="POST",route="/v1/tasks",code="503"} 0+2x20`, `billonce_http_requests_total{method="POST",route="/v1/tasks",code="201"} 0+98x20`,
	}},
	{alert: "BillonceApiErrorsFast", name: "TheClientsOwn", at: 9 * minute, silent: true, series: []string{
		`billonce_http_requests_total{method="POST",route="/v1/tasks",code="422"} 0+50x20`, `billonce_http_requests_total{method="POST",route="/v1/tasks",code="201"} 0+50x20`,
	}},
	{alert: "BillonceApiErrorsFast", name: "OneInAHundred", at: 9 * minute, silent: true, series: []string{
		`billonce_http_requests_total{method="POST",route="/v1/tasks",code="500"} 0+1x20`, `billonce_http_requests_total{method="POST",route="/v1/tasks",code="201"} 0+99x20`,
	}},
	{alert: "BillonceApiErrorsFast", name: "TheOneOfANight", at: 20 * minute, silent: true, series: []string{
		`billonce_http_requests_total{method="POST",route="/v1/tasks",code="500"} 0x10 1x40`, `billonce_http_requests_total{method="POST",route="/v1/tasks",code="201"} 3x50`,
	}},
	{alert: "BillonceApiErrorsSlowly", name: "SevenInAThousand", at: 20 * minute, series: []string{
		`billonce_http_requests_total{method="POST",route="/v1/tasks",code="500"} 0+7x50`, `billonce_http_requests_total{method="POST",route="/v1/tasks",code="201"} 0+993x50`,
	}},
	{alert: "BillonceApiErrorsSlowly", name: "FiveInAThousand", at: 24 * minute, silent: true, series: []string{
		`billonce_http_requests_total{method="POST",route="/v1/tasks",code="500"} 0+5x50`, `billonce_http_requests_total{method="POST",route="/v1/tasks",code="201"} 0+995x50`,
	}},
	{alert: "BillonceApiSlow", name: "ATenthIsSlow", at: 12 * minute, series: []string{
		`billonce_http_request_duration_seconds_bucket{method="GET",route="/v1/tasks",le="1"} 0+90x30`,
		`billonce_http_request_duration_seconds_bucket{method="GET",route="/v1/tasks",le="2.5"} 0+100x30`,
		`billonce_http_request_duration_seconds_bucket{method="GET",route="/v1/tasks",le="+Inf"} 0+100x30`,
	}},
	{alert: "BillonceApiSlow", name: "OnlyBatches", at: 14 * minute, silent: true, series: []string{
		`billonce_http_request_duration_seconds_bucket{method="GET",route="/v1/tasks",le="1"} 0+100x30`,
		`billonce_http_request_duration_seconds_bucket{method="GET",route="/v1/tasks",le="60"} 0+100x30`,
		`billonce_http_request_duration_seconds_bucket{method="GET",route="/v1/tasks",le="+Inf"} 0+100x30`,
		`billonce_http_request_duration_seconds_bucket{method="POST",route="/v1/tasks/batch",le="1"} 0x30`,
		`billonce_http_request_duration_seconds_bucket{method="POST",route="/v1/tasks/batch",le="60"} 0+100x30`,
		`billonce_http_request_duration_seconds_bucket{method="POST",route="/v1/tasks/batch",le="+Inf"} 0+100x30`,
	}},
	{alert: "BillonceWrongKeys", name: "Many", at: 11 * minute, series: []string{`billonce_api_key_refusals_total{instance="a",reason="throttled"} 0+1x30`}},
	{alert: "BillonceWrongKeys", name: "NotThatMany", at: 14 * minute, silent: true, series: []string{
		`billonce_api_key_refusals_total{instance="a",reason="unknown"} 0+5x30`, `billonce_api_key_refusals_total{instance="a",reason="throttled"} 0x10 4x20`,
	}},
	{alert: "BillonceKeyAbsent", name: "OneToken", at: 7 * minute, series: []string{`billonce_tokens_refused_total{instance="w",fault="key_absent"} 0x10 1x20`}},
	{alert: "BillonceKeyAbsent", name: "AnotherFault", at: 14 * minute, silent: true, series: []string{
		`billonce_tokens_refused_total{instance="w",fault="key_absent"} 0x30`, `billonce_tokens_refused_total{instance="w",fault="misplaced"} 0x10 1x20`,
	}},
	{alert: "BillonceTokensRefused", name: "OneToken", at: 7 * minute, series: []string{`billonce_tokens_refused_total{instance="w",fault="misplaced"} 0x10 1x20`}},
	{alert: "BillonceTokensRefused", name: "AnotherFault", at: 14 * minute, silent: true, series: []string{
		`billonce_tokens_refused_total{instance="w",fault="key_absent"} 0x10 1x20`, `billonce_tokens_refused_total{instance="w",fault="misplaced"} 0x30`,
	}},
	{alert: "BillonceKeyWornOut", name: "AQuarter", at: minute, series: []string{`billonce_encryption_key_sealings{instance="a"} 1100000000x20`, `billonce_encryption_key_sealings{instance="b"} 3x20`}},
	{alert: "BillonceKeyWornOut", name: "Less", at: 5 * minute, silent: true, series: []string{`billonce_encryption_key_sealings{instance="a"} 900000000x20`, `billonce_encryption_key_sealings{instance="b"} 900000000x20`}},
	{alert: "BillonceDatabaseDown", name: "ProcessesWithoutIt", at: 3 * minute, series: []string{`billonce_build_info{service="api",instance="a"} 1x20`, `billonce_build_info{service="worker",instance="w"} 1x20`}},
	{alert: "BillonceDatabaseDown", name: "OneCanReadIt", at: 9 * minute, silent: true, series: []string{
		`billonce_build_info{service="api",instance="a"} 1x20`, `billonce_build_info{service="worker",instance="w"} 1x20`, `billonce_oldest_due_task_age_seconds{instance="w"} 0x20`,
	}},
	{alert: "BillonceDatabaseDown", name: "NoProcessesEither", at: 9 * minute, silent: true},
	{alert: "BillonceProcessDown", name: "AWorker", at: 4 * minute, series: []string{`up{job="billonce-worker",instance="w"} 0x20`}},
	{alert: "BillonceProcessDown", name: "SomebodyElse", at: 9 * minute, silent: true, series: []string{`up{job="node",instance="n"} 0x20`, `up{job="billonce-worker",instance="w"} 1x20`}},
	{alert: "BilloncePoolExhausted", name: "AllInUse", at: 11 * minute, series: []string{
		`go_sql_in_use_connections{job="billonce-api",instance="a",db_name="billonce"} 19x30`, `go_sql_max_open_connections{job="billonce-api",instance="a",db_name="billonce"} 20x30`,
	}},
	{alert: "BilloncePoolExhausted", name: "SomeLeft", at: 14 * minute, silent: true, series: []string{
		`go_sql_in_use_connections{job="billonce-api",instance="a",db_name="billonce"} 15x30`, `go_sql_max_open_connections{job="billonce-api",instance="a",db_name="billonce"} 20x30`,
	}},
}
