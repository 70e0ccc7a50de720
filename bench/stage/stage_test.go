package stage_test

import (
	"encoding/json"
	"testing"

	"billonce/bench/stage"
)

func TestPaymentParamsAre200Bytes(t *testing.T) {
	t.Parallel()
	for _, i := range []int{0, 7, 99_999_999} {
		params := stage.PaymentParams(i)
		if len(params) != 200 || !json.Valid(params) {
			t.Errorf("the params of task %d have %d bytes: %s", i, len(params), params)
		}
	}
}
