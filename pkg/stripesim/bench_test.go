package stripesim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"billonce/pkg/stripesim"
)

// retained reports what the simulator keeps of each call.
func retained(b *testing.B, before uint64) {
	b.Helper()
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(b.N), "kept-B/op")
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkPayInvoice is the simulator's own share of a call, without a network.
func BenchmarkPayInvoice(b *testing.B) {
	sim := stripesim.New(stripesim.Config{})
	b.Cleanup(sim.Close)
	handler := sim.Handler()
	objects := make([]stripesim.Object, b.N)
	for i := range objects {
		objects[i] = stripesim.Object{Object: "invoice", ID: fmt.Sprint("in_", i), Status: "open", Amount: 2000}
	}
	if err := sim.Seed("acct_bench", false, objects...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := heap()
	b.ResetTimer()
	for i := range b.N {
		request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, fmt.Sprint("/v1/invoices/in_", i, "/pay"), http.NoBody)
		request.Header.Set("Authorization", "Bearer sk_test_acct_bench")
		request.Header.Set("Idempotency-Key", fmt.Sprint("task_", i))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Code, answer.Body)
		}
	}
	retained(b, before)
	runtime.KeepAlive(sim)
}

func BenchmarkCreateSubscription(b *testing.B) {
	sim := stripesim.New(stripesim.Config{})
	b.Cleanup(sim.Close)
	handler := sim.Handler()
	b.ReportAllocs()
	before := heap()
	for i := range b.N {
		request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/subscriptions",
			strings.NewReader("customer=cus_ok&items[0][price]=price_basic&metadata[billonce_task_id]=7"))
		request.Header.Set("Authorization", "Bearer sk_test_acct_bench")
		request.Header.Set("Idempotency-Key", fmt.Sprint("task_", i))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Code, answer.Body)
		}
	}
	retained(b, before)
	runtime.KeepAlive(sim)
}
