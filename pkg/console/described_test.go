package console_test

import (
	"encoding/json"
	"strings"
	"testing"

	"billonce/internal/openapitest"
)

// TestTheSamplesAreAsDescribed: what the pages of these tests are made of is what the API answers.
func TestTheSamplesAreAsDescribed(t *testing.T) {
	t.Parallel()
	samples := map[string][]any{}
	for name, answer := range sampleAnswers() {
		samples[name] = []any{answer}
	}
	samples["GET /v1/tasks/"+taskID] = append(samples["GET /v1/tasks/"+taskID], failedTask(), doubtfulTask())
	for name, answers := range samples {
		method, path, _ := strings.Cut(name, " ")
		operation, known := openapitest.Document().Find(method, path)
		if !known {
			t.Errorf("%s is no operation", name)
			continue
		}
		for _, answer := range answers {
			text, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				t.Fatal(err)
			}
			if err := openapitest.CheckExample(operation.Answers[0].Schema, value, true); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
