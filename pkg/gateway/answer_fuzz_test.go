package gateway

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// tripper answers every request with the bytes that it is made of.
type tripper []byte

func (raw tripper) RoundTrip(request *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), request)
}

// FuzzAnswer reads answers from the wire as anybody between here and Stripe may have written them, headers included: nothing is a
// success but a whole 2xx that names an object, and nothing is kept that is not an identifier.
func FuzzAnswer(f *testing.F) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nRequest-Id: req_1\r\nIdempotent-Replayed: TRUE\r\nDate: Thu, 26 Nov 2026 04:38:33 GMT\r\n", "HTTP/1.1 429 Too Many\r\nStripe-Rate-Limited-Reason: x\r\nStripe-Should-Retry: true\r\n",
		"HTTP/1.1 500 X\r\nStripe-Should-Retry: false\r\nRequest-Id: <script>\r\n", "HTTP/1.1 402 X\r\nDate: yesterday\r\n", "HTTP/1.1 302 X\r\nLocation: http://x/\r\n", "HTTP/1.0 200\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
	} {
		for _, body := range []string{"", paid, page, errorBody(invalidType, "lock_timeout")} {
			f.Add([]byte(head + "\r\n" + body))
			f.Add([]byte(head + "Content-Length: 100000\r\n\r\n" + body))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := &wire{calls: 1}
		w.add(tripper(raw), 1)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.stripe.com/v1/refunds", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		var seen probe
		w.send(request, &seen)
		if len(seen.body) > maxAnswerBytes {
			t.Fatalf("%d bytes are kept", len(seen.body))
		}
		for _, resend := range []bool{false, true} {
			got := classify(seen.observation, resend)
			if got.Outcome == succeeded && (seen.status < 200 || seen.status > 299 || seen.cut || !isID(got.Result.ID)) {
				t.Fatalf("a success out of %q", raw)
			}
			if got.Outcome == notSent && (resend || seen.status == http.StatusOK) {
				t.Fatalf("%q says that nothing was sent", raw)
			}
			kept := ""
			if got.Result != nil {
				kept = got.Result.RequestID + got.Result.ID + got.Result.Object + got.Result.Status
			}
			if got.Error != nil {
				kept = got.Error.RequestID + got.Error.Code + got.Error.Type
			}
			if kept != "" && !isMadeOf(kept, "_-.[]") {
				t.Fatalf("kept %q", kept)
			}
		}
	})
}
