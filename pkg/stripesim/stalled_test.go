package stripesim_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stripe/stripe-go/v76"

	"billonce/pkg/stripesim"
)

func TestAHungCallHasNoEffect(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.script(t, stripesim.Fault{Kind: stripesim.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	params := &stripe.PaymentIntentParams{Amount: stripe.Int64(1), Currency: stripe.String("usd")}
	keyed(&params.Params, "k")
	params.Context = ctx
	gone := make(chan error, 1)
	go func() {
		_, err := b.stripe(token).PaymentIntents.New(params)
		gone <- err
	}()
	eventually(t, "the call hangs", func() bool { return b.met(stripesim.Hang) })
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client saw %v", err)
	}
	if got := b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd"); got.status != 200 || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("again: %d %s", got.status, got.body)
	}
}

func TestAResetEndsWhatIsStalled(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.script(t, stripesim.Fault{Kind: stripesim.Stall, Hold: true})
	gone := make(chan error, 1)
	go func() {
		_, err := b.send(t, http.MethodPost, "/v1/payment_intents", "amount=1&currency=usd", "Idempotency-Key", "k")
		gone <- err
	}()
	eventually(t, "held", func() bool { return b.Held() == 1 })
	b.Reset()
	if err := <-gone; err == nil {
		t.Error("it was answered")
	}
	if n := len(b.Ledger()); n != 0 {
		t.Errorf("%d effects", n)
	}
}
