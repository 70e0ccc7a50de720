package billing_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"billonce/pkg/billing"
)

// TestHashOfARequest: the hash is of the parts in their order, each with a zero after it. Stored hashes depend on it for ever.
func TestHashOfARequest(t *testing.T) {
	for _, size := range []int{0, 1, 400, 512, 513, 100_000} {
		request := billing.Request{Method: "POST", Path: "/v1/invoices", Body: strings.Repeat("b", size), APIVersion: "2023-10-16"}
		want := sha256.Sum256([]byte("POST\x00/v1/invoices\x002023-10-16\x00" + request.Body + "\x00"))
		if got := request.Hash(); got != want {
			t.Errorf("a body of %d bytes: %x, want %x", size, got, want)
		}
	}
	usual := billing.Request{Method: "POST", Path: "/v1/invoices", Body: strings.Repeat("b", 300), APIVersion: "2023-10-16"}
	if got := testing.AllocsPerRun(100, func() { _ = usual.Hash() }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkHash(b *testing.B) {
	request := billing.Request{Method: "POST", Path: "/v1/invoices", Body: strings.Repeat("b", 250), APIVersion: "2023-10-16"}
	b.ReportAllocs()
	for b.Loop() {
		_ = request.Hash()
	}
}
