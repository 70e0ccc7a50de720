package proc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports handed out lie below the range from which systems take the local ports of outgoing connections (32768 and up
// on Linux), so that nobody takes one between the moment it is found free and the moment the child binds it.
const (
	firstPort   = 17000
	lastPort    = 31999
	portGuesses = 200
)

// FreePort returns a TCP port on which nobody listens on 127.0.0.1: preferred, if that is one, else a random one.
// 0 means no preference.
func FreePort(ctx context.Context, preferred int) (int, error) {
	if preferred != 0 && portIsFree(ctx, preferred) {
		return preferred, nil
	}
	for range portGuesses {
		if port := firstPort + rand.IntN(lastPort-firstPort+1); portIsFree(ctx, port) { //nolint:gosec // no secret: a port
			return port, nil
		}
	}
	return 0, errors.New("find a free port on 127.0.0.1: none of the ones tried can be bound")
}

func portIsFree(ctx context.Context, port int) bool {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// Address returns "127.0.0.1:port" with a free port, as FreePort finds it.
func Address(ctx context.Context, preferred int) (string, error) {
	port, err := FreePort(ctx, preferred)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", port), nil
}
