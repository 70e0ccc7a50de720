package console

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"billonce/pkg/secret"
)

// param is one value of a task's params or metadata, by its path. What must not be shown is not in it.
type param struct {
	Path   string
	Value  string
	Hidden bool
}

// Names under which nothing is ever shown, whatever it looks like, and neither is anything below them.
var (
	neverNamed = []string{
		"number", "cvc", "cvv", "cvc2", "exp_month", "exp_year", "iban", "pin", "ssn", "ssn_last_4", "id_number", "account", "auth_code",
		"card", "card_present", "bank_account", "bank", "us_bank_account", "sepa_debit", "bacs_debit", "au_becs_debit", "acss_debit", "nz_bank_account",
		"ach_debit", "ach_credit_transfer", "sofort", "ideal", "fpx", "eps", "p24", "boleto", "konbini", "cryptogram", "fingerprint",
		"name", "description", "phone", "statement_descriptor", "statement_descriptor_suffix", "footer", "memo", "radar_options", "individual", "person", "external_account", "owner", "billing_details", "address", "shipping",
		"code", "confirmation_number", "dob", "custom_fields", "comment", // BLIK's one-time code, konbini's phone number, a person's words

	}
	neverWithin = []string{
		"secret", "token", "password", "passwd", "credential", "api_key", "apikey", "authorization", "account_number", "routing_number",
		"sort_code", "transit_number", "institution_number", "bsb", "card_number", "tax_id", "birth", "ssn", "email",
	}
	// Options of ways to pay, which are no way to pay themselves.
	optionsOnly = []string{"payment_method_options", "payment_settings"}
)

// A text is shown when it is one of a closed set's, an id of Stripe's, or a moment; whatever a person may have written is not.
var (
	word     = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)
	stripeID = regexp.MustCompile(`^[a-z]{2,8}(?:_sched)?_[A-Za-z0-9_]{1,80}$`)
	amount   = regexp.MustCompile(`^-?[0-9]{1,12}(?:\.[0-9]{1,12})?$`)
	written  = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9:]+))?$`)
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// idsNeverShown begin what is a means of payment, or may be turned into one, whatever it is called.
var idsNeverShown = []string{"tok_", "btok_", "ctoken_", "pii_", "ek_", "sk_", "rk_", "rt_", "ac_", "bo_", "whsec_", "seti_"}

// paramsOf lists the values of params, by their paths.
func paramsOf(raw json.RawMessage) []param {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var document any
	if len(raw) == 0 || decoder.Decode(&document) != nil {
		return nil
	}
	return walk(nil, "", document, false)
}

func metadataOf(of map[string]string) []param {
	var found []param
	for _, name := range slices.Sorted(maps.Keys(of)) {
		found = append(found, note(name, name, of[name]))
	}
	return found
}

// note is a value of metadata: the caller's own words, unless they look like what must not be shown.
func note(path, name, value string) param {
	if neverShown(name) || secret.Resembles(value) || secret.Resembles(name) {
		return param{Path: secret.Scrub(path), Hidden: true}
	}
	return param{Path: path, Value: value}
}

// walk adds what is below value. options says that names of ways to pay stand for options of them.
func walk(found []param, path string, value any, options bool) []param {
	switch given := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(given)) {
			found = walkInto(found, path, name, given[name], options)
		}
		return found
	case []any:
		for i, element := range given {
			found = walk(found, path+"["+strconv.Itoa(i)+"]", element, options)
		}
		return found
	}
	return append(found, leaf(path, value))
}

func walkInto(found []param, path, name string, value any, options bool) []param {
	at := secret.Scrub(name)
	if path != "" {
		at = path + "." + at
	}
	if text, isText := value.(string); isText && strings.HasSuffix(path, "metadata") {
		return append(found, note(at, name, text))
	}
	_, object := value.(map[string]any)
	if neverShown(name) && (!options || !object) {
		return append(found, param{Path: at, Hidden: true})
	}
	return walk(found, at, value, options || slices.Contains(optionsOnly, name))
}

// leaf is a value at the end of a path.
func leaf(path string, value any) param {
	switch given := value.(type) {
	case nil:
		return param{Path: path, Value: "null"}
	case bool:
		return param{Path: path, Value: strconv.FormatBool(given)}
	case json.Number:
		return param{Path: path, Value: given.String(), Hidden: false}.unlessCard()
	case string:
		if mayShow(given) {
			return param{Path: path, Value: given}.unlessCard()
		}
	}
	return param{Path: path, Hidden: true}
}

// unlessCard hides what looks like the number of a card, or a credential.
func (p param) unlessCard() param {
	if secret.Resembles(p.Value) {
		return param{Path: p.Path, Hidden: true}
	}
	return p
}

func mayShow(text string) bool {
	if strings.Contains(text, "_secret_") || slices.ContainsFunc(idsNeverShown, func(begin string) bool { return strings.HasPrefix(text, begin) }) {
		return false
	}
	return text == "" || word.MatchString(text) || amount.MatchString(text) || written.MatchString(text) || uuidForm.MatchString(text) ||
		stripeID.MatchString(text)
}

func neverShown(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(neverNamed, name) ||
		slices.ContainsFunc(neverWithin, func(within string) bool { return strings.Contains(name, within) })
}
