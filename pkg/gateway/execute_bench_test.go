package gateway_test

import (
	"bufio"
	"net"
	"strconv"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
)

// BenchmarkExecute counts what one call costs this side of the wire: the server allocates nothing for each.
func BenchmarkExecute(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go answerAll(listener)
	gate, err := gateway.New(gateway.Config{BaseURL: "http://" + listener.Addr().String()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(gate.Close)
	request, err := gateway.NewFreezer(true).Freeze(taskID, billing.PaymentIntentCreate, "", []byte(`{"amount":1000,"currency":"usd","customer":"cus_1","description":"Renewal"}`))
	if err != nil {
		b.Fatal(err)
	}
	claim := claimOf(billing.PaymentIntentCreate, request)
	b.ReportAllocs()
	for b.Loop() {
		if got := gate.Execute(b.Context(), claim, tokenCredential()); got.Outcome != billing.OutcomeSucceeded {
			b.Fatalf("got %+v", got)
		}
	}
}

// answerAll answers every request on every connection with the same invoice.
func answerAll(listener net.Listener) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 25 Nov 2025 10:00:00 GMT\r\nRequest-Id: req_1\r\nContent-Length: " +
		strconv.Itoa(len(paid)) + "\r\n\r\n" + paid)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go answerOne(conn, answer)
	}
}

func answerOne(conn net.Conn, answer []byte) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			const name = "Content-Length: "
			if len(line) > len(name) && string(line[:len(name)]) == name {
				for _, digit := range line[len(name) : len(line)-2] {
					length = 10*length + int(digit-'0')
				}
			}
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
