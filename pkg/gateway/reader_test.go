package gateway

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// FuzzReader compares what is read of valid JSON with what encoding/json reads.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[true,false,null,{"c":"d\"\u00e9\\"}],"":{}}`, ` { "a" : [ ] , "b" : [ 1.5e3 , -0 ] } `, `{}`, `[]`, `"x"`, `{"a":{"a":{"a":[[],[[]]]}}}`,
		`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"10":1,"11":1,"12":1,"13":1,"14":1,"15":1,"16":1,"17":1,"18":1,"1":2,"18":3}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 || !json.Valid(raw) || !utf8.Valid(raw) || hasLoneSurrogate(raw) {
			return
		}
		var found faults
		r := reader{text: string(raw), faults: &found}
		got, ok := r.value(&place{}, 0)
		if !ok || len(found.list) > 0 {
			return
		}
		if r.space(); r.at != len(raw) {
			t.Fatalf("read up to %d of %d: %s", r.at, len(raw), raw)
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := decoded(got); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %v", raw, got)
		}
	})
}

// decoded is a value as encoding/json has it.
func decoded(v value) any {
	switch v.shape {
	case isNull:
		return nil
	case isBool:
		return v.truth
	case isNumber:
		return json.Number(v.text)
	case isText:
		return v.text
	case isArray:
		list := make([]any, len(v.members))
		for i, member := range v.members {
			list[i] = decoded(member)
		}
		return list
	case isObject:
	}
	object := make(map[string]any, len(v.names))
	for i, name := range v.names {
		object[name] = decoded(v.members[i])
	}
	return object
}
