package store

import (
	"encoding/json"
	"fmt"
	"strconv"

	"billonce/pkg/billing"
)

// appendResult appends a result as json.Marshal writes it. Nearly every task ends with one, whose texts are plain.
func appendResult(text []byte, result *billing.Result) ([]byte, error) {
	if !plain(result.Object) || !plain(result.ID) || !plain(result.Status) || !plain(result.RequestID) {
		encoded, err := json.Marshal(result)
		if err != nil {
			return nil, fmt.Errorf("encode a result: %w", err)
		}
		return append(text, encoded...), nil
	}
	text = append(append(text, `{"object":"`...), result.Object...)
	text = append(append(text, `","id":"`...), result.ID...)
	text = append(append(text, `","status":"`...), result.Status...)
	text = append(append(text, `","request_id":"`...), result.RequestID...)
	text = strconv.AppendBool(append(text, `","replayed":`...), result.Replayed)
	return append(text, '}'), nil
}

// plain reports whether JSON writes a text as it is.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			return false
		}
	}
	return true
}

// appendError appends a StripeError as JSON.
func appendError(text []byte, failure *billing.StripeError) ([]byte, error) {
	encoded, err := json.Marshal(failure)
	if err != nil {
		return nil, fmt.Errorf("encode an error: %w", err)
	}
	return append(text, encoded...), nil
}

// addAnswer adds an answer's result and error as JSON, "" for what there is not.
func addAnswer(results, failures *array, answer *billing.Answer) error {
	result, failure := answer.Result, answer.Error
	if result == nil {
		results.addText("")
	} else if err := results.addWritten(func(text []byte) ([]byte, error) { return appendResult(text, result) }); err != nil {
		return err
	}
	if failure == nil {
		failures.addText("")
		return nil
	}
	return failures.addWritten(func(text []byte) ([]byte, error) { return appendError(text, failure) })
}
