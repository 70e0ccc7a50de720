package app

import "net/http"

// ServeWithConsole is serveWithConsole.
var ServeWithConsole = serveWithConsole //nolint:gochecknoglobals // for the tests outside

// Inside is a transport that carries calls to a handler of this process.
func Inside(handler http.Handler) http.RoundTripper { return &inside{handler} }
