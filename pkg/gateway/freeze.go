package gateway

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	stripe "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"

	"billonce/pkg/billing"
)

// Freezer checks what a task asks for and makes the request that every send of the task will use. It does no I/O and may
// be used from any number of goroutines.
type Freezer struct {
	operations   map[billing.Kind]operation
	schema       schema
	allowPayouts bool
}

// NewFreezer returns a Freezer; allowPayouts lets transfer.create and payout.create pass.
func NewFreezer(allowPayouts bool) Freezer {
	freezer := Freezer{operations: operations(), schema: schema{}, allowPayouts: allowPayouts}
	plain := map[reflect.Type]plainFields{}
	for kind, operation := range freezer.operations {
		freezer.schema.learn(operation.params)
		if freezer.schema.isPlain(operation.params) {
			operation.plain = freezer.schema.plainly(operation.params, plain)
		}
		freezer.operations[kind] = operation
	}
	return freezer
}

// Freeze returns the request of a task, the same for the same arguments. An error is a [*billing.Error] with code
// [billing.CodeInvalid] and every fault, with pointers into {"kind": …, "target": …, "params": …}; no fault repeats a
// submitted value.
func (f Freezer) Freeze(id billing.TaskID, kind billing.Kind, target string, params json.RawMessage) (billing.Request, error) {
	var found faults
	operation, known := f.operations[kind]
	switch {
	case !known:
		found.add("/kind", faultUnknownKind, "is not a kind of task")
	case kind.PaysOut() && !f.allowPayouts:
		found.add("/kind", faultNotEnabled, "moves money out, which this installation does not allow")
	}
	if known {
		checkTarget(kind, operation, target, &found)
	}
	body, plain := "", false
	if len(found.list) == 0 {
		body, plain = f.encodePlainly(id, kind, operation, params)
	}
	if !plain {
		document, readable := readDocument(params, "/params", &found)
		if known && readable {
			body = f.encode(id, kind, operation, document, &found)
		}
	}
	if len(found.list) > 0 {
		return billing.Request{}, &billing.Error{Code: billing.CodeInvalid, Message: "the task cannot be carried out as it is", Faults: found.list}
	}
	path := operation.path
	if !kind.Creates() {
		path = stripe.FormatURLPath(path, target)
	}
	return billing.Request{Method: operation.method, Path: path, Body: body, APIVersion: stripe.APIVersion}, nil
}

// encode fills stripe-go's parameters from the document and encodes them as stripe-go does.
func (f Freezer) encode(id billing.TaskID, kind billing.Kind, operation operation, document value, found *faults) string {
	decoder := decoder{schema: f.schema, emptyable: operation.emptyable, faults: found}
	if kind.Creates() {
		decoder.reserve = 1
	}
	filled := reflect.New(operation.params)
	decoder.object(document, filled.Elem(), &place{name: "/params"})
	checkRequired(operation.required, document, found)
	if kind.Creates() {
		mark(filled.Elem(), id)
		decoder.emptied = slices.DeleteFunc(decoder.emptied, func(keys []string) bool { return len(keys) == 1 && keys[0] == metadataName })
	}
	var body form.Values
	form.AppendToPrefixed(&body, filled.Interface(), make([]string, 0, maxDepth)) // no prefix, but room: it appends to this for each field
	for _, keys := range decoder.emptied {
		body.Add(form.FormatKey(keys), "")
	}
	return body.Encode()
}

// mark adds the task's id to the metadata of what is created.
func mark(params reflect.Value, id billing.TaskID) {
	metadata := params.FieldByName("Metadata")
	if metadata.IsNil() {
		metadata.Set(reflect.MakeMap(metadata.Type()))
	}
	metadata.SetMapIndex(reflect.ValueOf(taskIDMetadata), reflect.ValueOf(string(id)))
}

// checkRequired looks for the parameters without which Stripe certainly refuses.
func checkRequired(required [][]string, document value, found *faults) {
	for _, group := range required {
		present := slices.ContainsFunc(group, func(name string) bool {
			member, ok := document.member(name)
			return ok && (member.shape != isText || member.text != "")
		})
		switch {
		case present:
		case len(group) == 1:
			found.add(at("/params", group[0]), faultRequired, "is required")
		default:
			found.add("/params", faultRequired, "needs one of "+strings.Join(group, ", "))
		}
	}
}

// checkTarget looks whether there is a target exactly where there must be one, and whether it can be one.
func checkTarget(kind billing.Kind, operation operation, target string, found *faults) {
	switch family := familyOf(target); {
	case kind.Creates() && target != "":
		found.add("/target", faultForbidden, "must be left out: this kind creates what it acts on")
	case kind.Creates():
	case target == "":
		found.add("/target", faultRequired, "is required: the id of the "+operation.family+" to act on")
	case !isID(target):
		found.add("/target", faultInvalid, "must be an id of Stripe's: 1 to 255 letters, digits, hyphens and underscores")
	case family != "" && family != operation.family:
		found.add("/target", faultWrongObject, "is the id of a "+family+", not of the "+operation.family+" to act on")
	}
}

// isID reports whether text may be the id of an object at Stripe. Ids become a part of a path.
func isID(text string) bool { return len(text) <= 255 && isMadeOf(text, "_-") }

// isMadeOf reports whether text has at least one character and all are ASCII letters, digits or among others.
func isMadeOf(text, others string) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(others, c) {
			return false
		}
	}
	return text != ""
}

// isFrozen reports whether a request has a form that [Freezer.Freeze] makes. A request from a database that somebody
// changed must not carry a key to another host.
func isFrozen(request billing.Request) bool {
	rest, ok := strings.CutPrefix(request.Path, "/v1/")
	if !ok || request.Method != http.MethodPost && request.Method != http.MethodDelete {
		return false
	}
	for part := range strings.SplitSeq(rest, "/") {
		if !isID(part) {
			return false
		}
	}
	return isMadeOf(request.APIVersion, "-.")
}
