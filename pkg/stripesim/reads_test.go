package stripesim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"

	"billonce/pkg/stripesim"
)

func TestListsGoFromTheNewestByCursor(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	var want []string
	for i := range 25 {
		id := fmt.Sprintf("in_%02d", i)
		b.seed(t, openInvoice(id))
		want = append([]string{id}, want...)
	}
	b.seed(t, stripesim.Object{Object: "invoice", ID: "in_other", Customer: "cus_declined"})
	params := &stripe.InvoiceListParams{Customer: stripe.String("cus_ok"), Status: stripe.String("open")}
	params.Context = t.Context()
	params.Limit = stripe.Int64(10)
	list := b.stripe(token).Invoices.List(params)
	var got []string
	for list.Next() {
		got = append(got, list.Invoice().ID)
	}
	if diff := cmp.Diff(want, got); diff != "" || list.Err() != nil {
		t.Error(list.Err(), diff)
	}
	before := decode(t, b.get(t, "/v1/invoices?limit=2&ending_before=in_20").body)
	var ids []string
	data, _ := before["data"].([]any)
	for _, one := range data {
		object, _ := one.(map[string]any)
		ids = append(ids, fmt.Sprint(object["id"]))
	}
	if diff := cmp.Diff([]string{"in_22", "in_21"}, ids); diff != "" || before["has_more"] != true {
		t.Error(diff, before["has_more"])
	}
	for _, wrong := range []string{"?limit=0", "?limit=101", "?limit=x", "?starting_after=in_nowhere", "?colour=red"} {
		if got := b.get(t, "/v1/invoices"+wrong); got.status != 400 {
			t.Errorf("%s: %d %s", wrong, got.status, got.body)
		}
	}
}

func TestEventsNameTheirRequest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := start(t, stripesim.Config{EventLag: time.Minute, Now: func() time.Time { return now }})
	b.seed(t, openInvoice("in_1"), openInvoice("in_2"))
	paid := b.post(t, "/v1/invoices/in_1/pay", "task_1", "")
	if err := b.External(acct, false, "invoice.pay", "in_2", ""); err != nil {
		t.Fatal(err)
	}
	find := func() map[string]*stripe.Event {
		params := &stripe.EventListParams{Types: stripe.StringSlice([]string{"invoice.paid"})}
		params.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: now.Unix() - 60}
		params.Context = t.Context()
		found := map[string]*stripe.Event{}
		list := b.stripe(token).Events.List(params)
		for list.Next() {
			found[fmt.Sprint(list.Event().Data.Object["id"])] = list.Event()
		}
		if list.Err() != nil {
			t.Fatal(list.Err())
		}
		return found
	}
	if got := find(); len(got) != 0 {
		t.Errorf("%d events before the lag has passed", len(got))
	}
	b.Advance(time.Minute)
	got := find()
	if len(got) != 2 {
		t.Fatalf("%d events", len(got))
	}
	mine, other := got["in_1"], got["in_2"]
	if mine.Request.IdempotencyKey != "task_1" || mine.Request.ID != paid.header.Get("Request-Id") || mine.Account != acct ||
		mine.APIVersion != "2023-10-16" || mine.Data.Object["status"] != "paid" {
		t.Errorf("%+v %+v", mine, mine.Request)
	}
	if other.Request.IdempotencyKey == "" || other.Request.IdempotencyKey == "task_1" || other.Request.ID == "" || other.Request.ID == mine.Request.ID {
		t.Errorf("an external actor's: %+v", other.Request)
	}
	if got := b.get(t, "/v1/events/"+mine.ID); got.status != 200 {
		t.Errorf("one event: %d %s", got.status, got.body)
	}
	effects := b.Ledger()
	if len(effects) != 2 || effects[1].IdempotencyKey != "" || effects[1].Object != "in_2" {
		t.Errorf("%+v", effects)
	}
}

// TestADebitClearsWithoutARequest: days after the request that began it, on nobody's word.
func TestADebitClearsWithoutARequest(t *testing.T) {
	t.Parallel()
	for decline, want := range map[string]struct{ invoice, event string }{
		"": {"paid", "invoice.paid"}, "insufficient_funds": {"open", "invoice.payment_failed"},
	} {
		b := start(t, stripesim.Config{})
		b.seed(t, openInvoice("in_1"))
		if got := b.post(t, "/v1/invoices/in_1/pay", "k", "payment_method=pm_processing"); got.status != 200 || !strings.Contains(got.body, `"status":"open"`) {
			t.Fatalf("%d %s", got.status, got.body)
		}
		begun := events(t, b, "k")
		if err := b.Clear(acct, false, "in_1", decline); err != nil {
			t.Fatal(err)
		}
		if b.Clear(acct, false, "in_1", "") == nil {
			t.Error("what has cleared clears again")
		}
		if got := b.get(t, "/v1/invoices/in_1?expand[]=payment_intent"); !strings.Contains(got.body, `"status":"`+want.invoice+`"`) ||
			strings.Contains(got.body, `"processing"`) {
			t.Errorf("%s", got.body)
		}
		if got := b.get(t, "/v1/events?type="+want.event); !strings.Contains(got.body, `"request":{"id":null,"idempotency_key":null}`) {
			t.Errorf("%s", got.body)
		}
		if n := events(t, b, "k"); n != begun || len(b.Ledger()) != 1 {
			t.Errorf("%d events under the key, %d before; %d effects", n, begun, len(b.Ledger()))
		}
	}
}

// TestTheBooksTellWhatIsNeverListed: whoever audits can tell missing evidence from evidence that was not looked for.
func TestTheBooksTellWhatIsNeverListed(t *testing.T) {
	t.Parallel()
	for drops, want := range map[float64]int{0: 0, 1: 4} {
		b := start(t, stripesim.Config{EventDrops: drops})
		b.seed(t, openInvoice("in_1"))
		b.post(t, "/v1/invoices/in_1/pay", "k", "")
		page, _, err := b.Keys("", 1)
		if err != nil || len(page) != 1 || len(page[0].Dropped) != want || slices.Contains(page[0].Dropped, "invoice.paid") != (want > 0) {
			t.Errorf("with %v: %+v, %v", drops, page, err)
		}
	}
}

func TestAKeptErrorTellsByItsEvents(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"))
	b.script(t, stripesim.Fault{Kind: stripesim.ErrorKept, Delay: time.Hour})
	if got := b.post(t, "/v1/invoices/in_1/pay", "k", ""); got.status != 500 {
		t.Fatal(got.status)
	}
	if n := events(t, b, "k"); n != 0 {
		t.Errorf("%d events at once", n)
	}
	b.Advance(time.Hour)
	if n := events(t, b, "k"); n == 0 {
		t.Error("no events an hour later")
	}
}

func TestSearchLagsBehind(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{SearchLag: time.Minute})
	b.post(t, "/v1/payment_intents", "k", "amount=700&currency=usd&metadata[billonce_task_id]=7")
	b.post(t, "/v1/payment_intents", "l", "amount=800&currency=usd&metadata[billonce_task_id]=8")
	search := func(query string) []string {
		params := &stripe.PaymentIntentSearchParams{}
		params.Query = query
		params.Context = t.Context()
		found := []string{}
		list := b.stripe(token).PaymentIntents.Search(params)
		for list.Next() {
			found = append(found, fmt.Sprint(list.PaymentIntent().Amount))
		}
		if list.Err() != nil {
			t.Fatalf("%s: %v", query, list.Err())
		}
		return found
	}
	if got := search(`metadata["billonce_task_id"]:"7"`); len(got) != 0 {
		t.Errorf("found at once: %v", got)
	}
	b.Advance(2 * time.Minute)
	for query, want := range map[string][]string{
		`metadata["billonce_task_id"]:"7"`:                    {"700"},
		`metadata['billonce_task_id']:'8' AND currency:'usd'`: {"800"},
		`amount>700`:                          {"800"},
		`-status:"succeeded" AND amount<=800`: {"800", "700"},
		`status:"succeeded"`:                  {},
	} {
		if diff := cmp.Diff(want, search(query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	if got := b.get(t, "/v1/payment_intents/search?query=what"); got.status != 400 {
		t.Errorf("nonsense: %d", got.status)
	}
}

func TestObjectsCanBeExpanded(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, stripesim.Object{Object: "invoice", ID: "in_1", Status: "paid", Amount: 100})
	params := &stripe.InvoiceParams{}
	params.Context = t.Context()
	params.AddExpand("charge")
	params.AddExpand("payment_intent.latest_charge")
	got, err := b.stripe(token).Invoices.Get("in_1", params)
	if err != nil || !got.Charge.Paid || got.PaymentIntent.LatestCharge.Amount != 100 {
		t.Errorf("%v %+v", err, got)
	}
	list := b.get(t, "/v1/invoices?expand[]=data.customer")
	if list.status != 200 || !strings.Contains(list.body, `"email":"cus_ok@example.com"`) {
		t.Errorf("%d %s", list.status, list.body)
	}
	for _, wrong := range []string{"status", "a.b.c.d.e"} {
		if got := b.get(t, "/v1/invoices/in_1?expand[]="+wrong); got.status != 400 {
			t.Errorf("%s: %d %s", wrong, got.status, got.body)
		}
	}
}

func TestAnUnpaidSubscriptionExpires(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	made := decode(t, b.post(t, "/v1/subscriptions", "k", "customer=cus_declined&items[0][price]=price_basic").body)
	if made["status"] != "incomplete" {
		t.Fatal(made)
	}
	path := fmt.Sprint("/v1/subscriptions/", made["id"])
	b.Advance(23 * time.Hour)
	if got := decode(t, b.get(t, path).body); got["status"] != "incomplete_expired" {
		t.Error(got["status"])
	}
}

func TestABalanceCanRunOut(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, stripesim.Object{Object: "balance", Amount: 100})
	first := b.post(t, "/v1/payouts", "k", "amount=200&currency=usd")
	if first.status != 400 || !strings.Contains(first.body, "balance_insufficient") {
		t.Fatalf("%d %s", first.status, first.body)
	}
	b.seed(t, stripesim.Object{Object: "balance", Amount: 1000})
	if got := b.post(t, "/v1/payouts", "k", "amount=200&currency=usd"); got.body != first.body {
		t.Errorf("the poisoned key answers %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/payouts", "l", "amount=200&currency=usd"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestUnknownPathsAnswer404(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	for _, path := range []string{"/v1/nothing", "/v1/invoices//pay", "/v1/invoices/in_1/pay/again", "/v2/x", "/v1/"} {
		if got := b.get(t, path); got.status != 404 || !strings.Contains(got.body, "Unrecognized request URL") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
