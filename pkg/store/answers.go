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

// addResult adds a result as JSON, "" for none.
func addResult(results *array, result *billing.Result) error {
	if result == nil {
		results.addText("")
		return nil
	}
	return results.addWritten(func(text []byte) ([]byte, error) { return appendResult(text, result) })
}

// addError adds an error as JSON, "" for none.
func addError(failures *array, failure *billing.StripeError) error {
	if failure == nil {
		failures.addText("")
		return nil
	}
	return failures.addWritten(func(text []byte) ([]byte, error) { return appendError(text, failure) })
}
