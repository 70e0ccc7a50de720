package httpapi

import (
	"slices"
	"strings"

	"billonce/pkg/billing"
)

// maxFaults bounds how many faults an answer lists: a batch of 10,000 tasks with the same mistake says it often enough.
const maxFaults = 100

// The codes of faults that are found while reading a request.
const (
	faultRequired     = "required"
	faultWrongType    = "wrong_type"
	faultUnknownField = "unknown_field"
	faultDuplicate    = "duplicate_field"
	faultLength       = "bad_length"
	faultFormat       = "bad_format"
	faultRange        = "out_of_range"
	faultUnknownValue = "unknown_value"
	faultCharacter    = "bad_character"
	faultMode         = "mode_mismatch"
	faultPast         = "in_the_past"
	faultFar          = "too_far"
	faultKeyTwice     = "duplicate_key"
	faultMerchant     = "unknown_merchant"
)

// faults collects what is wrong with one request, up to [maxFaults].
type faults []billing.Fault

func (f *faults) add(pointer, code, detail string) {
	if len(*f) < maxFaults {
		*f = append(*f, billing.Fault{Pointer: pointer, Code: code, Detail: detail})
	}
}

func (f *faults) full() bool { return len(*f) >= maxFaults }

// below reports whether there is a fault at pointer or deeper.
func (f *faults) below(pointer string) bool {
	return slices.ContainsFunc(*f, func(fault billing.Fault) bool {
		rest, ok := strings.CutPrefix(fault.Pointer, pointer)
		return ok && (rest == "" || rest[0] == '/')
	})
}

// err returns nil when there are no faults.
func (f *faults) err() error {
	if len(*f) == 0 {
		return nil
	}
	return &billing.Error{Code: billing.CodeInvalid, Faults: *f}
}

// relocate moves the pointers of err's faults to where the client has the place. Errors without faults stay as they are.
func relocate(err error, move func(pointer string) string) error {
	found := billing.FaultsOf(err)
	if len(found) == 0 {
		return err
	}
	moved := make([]billing.Fault, len(found))
	for i, fault := range found {
		fault.Pointer = move(fault.Pointer)
		moved[i] = fault
	}
	known := asError(err)
	return &billing.Error{Code: known.Code, Message: known.Message, Faults: moved, Err: err}
}

// single turns "/0/run_at" into "/run_at".
func single(pointer string) string {
	rest := strings.TrimPrefix(pointer, "/0")
	if rest == pointer || (rest != "" && rest[0] != '/') {
		return pointer
	}
	return rest
}

// segment escapes one part of a JSON pointer. RFC 6901, section 4.
func segment(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
