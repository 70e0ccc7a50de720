// Package importrules checks the shape of the source tree: which room may import what, which technology lives in which
// room, how long a file may be, and that test helpers stay out of the binaries.
//
// It promises to read nothing but the Go files of the tree that it is given, to report every violation in the order of
// the files, and to refuse a room under pkg/ that has no rule. It never loads packages or types, so that it costs
// milliseconds, and it has no switches: golangci-lint holds the same rules, but its configuration can be edited to be
// silent.
package importrules

import "strings"

// module is the path of the module whose tree is checked.
const module = "billonce"

// maxLines is how long a source file may be. Tests may be longer: tables of cases are read one line at a time.
const maxLines = 400

// std stands for the whole standard library in a list of imports.
const std = "std"

// room is the rule of one directory and of all directories below it.
type room struct {
	dir string
	// may lists what its files may import: [std], an exact package, or a prefix that ends in "/".
	may []string
	// never lists exceptions to may, in the same form.
	never []string
}

const (
	billing = module + "/pkg/billing"
	secret  = module + "/pkg/secret"
	echo    = "github.com/labstack/echo/v4/"
	stripe  = "github.com/stripe/stripe-go/"
	sqlx    = "github.com/jmoiron/sqlx/"
	pq      = "github.com/lib/pq/"
	goose   = "github.com/pressly/goose/v3/"
	uuid    = "github.com/google/uuid"
	crypto  = "golang.org/x/crypto/"
	xsync   = "golang.org/x/sync/"
	env     = "github.com/caarlos0/env/v11/"
	metrics = "github.com/prometheus/"
	otel    = "go.opentelemetry.io/"
	proto   = "google.golang.org/protobuf/"
	cobra   = "github.com/spf13/"

	yaml = "go.yaml.in/yaml/v3"

	isatty      = "github.com/mattn/go-isatty"
	term        = "golang.org/x/term"
	progressbar = "github.com/schollz/progressbar/v3"
)

// rooms are all rooms of the tree, the more particular before the more general. Arrows point to billing and secret;
// siblings do not know one another and meet only in app.
var rooms = []room{
	{dir: "pkg/secret", may: []string{std}, never: []string{"net/", "os/", "database/sql/"}},
	{dir: "pkg/billing", may: []string{std, secret}, never: []string{"net/", "os/", "database/sql/", "log/"}},
	{dir: "pkg/vault", may: []string{std, billing, secret, crypto}, never: []string{"net/", "os/", "database/sql/"}},
	{dir: "pkg/store", may: []string{std, billing, secret, module + "/db/migrations", module + "/deploy", sqlx, pq, goose, uuid}, never: []string{"net/http/"}},
	{dir: "pkg/gateway", may: []string{std, billing, secret, stripe}, never: []string{"database/sql/"}},
	{dir: "pkg/worker", may: []string{std, billing, secret}, never: []string{"net/http/", "database/sql/"}},
	{dir: "pkg/httpapi", may: []string{std, billing, secret, echo, uuid}, never: []string{"database/sql/"}},
	{dir: "pkg/console", may: []string{std, billing, secret, module + "/pkg/client"}, never: []string{"database/sql/"}},
	{dir: "pkg/client", may: []string{std, billing, secret}, never: []string{"database/sql/"}},
	{dir: "pkg/stripesim", may: []string{std, billing, uuid}, never: []string{"database/sql/"}},
	{dir: "pkg/config", may: []string{std, billing, secret, env}},
	{dir: "pkg/telemetry", may: []string{std, billing, secret, metrics, otel, proto}},
	{dir: "pkg/app", may: []string{std, module + "/pkg/", uuid, xsync}, never: []string{"database/sql/"}},
	{dir: "cmd/api", may: services},
	{dir: "cmd/worker", may: services},
	{dir: "cmd/stripesim", may: services},
	{dir: "cmd/billctl", may: []string{std, module + "/", uuid, xsync, cobra, goose, pq, isatty, progressbar, term}},
	{dir: "db/migrations", may: []string{std}},
	{dir: "deploy", may: []string{std}},
	{dir: "internal/importrules", may: []string{std}},
	{dir: "internal/kindtest", may: []string{std, billing}},
	{dir: "internal/openapi", may: []string{std, yaml}},
	{dir: "internal/openapitest", may: []string{std}},
	{dir: "internal/netfault", may: []string{std}},
	{dir: "internal/otlptest", may: []string{std, otel, proto}},
	{dir: "internal/programtest", may: []string{std}},
	{dir: "internal/protocol", may: []string{std, billing}},
	{dir: "test", may: []string{std, module + "/", uuid, xsync, sqlx, pq}},
	{dir: "tools", may: []string{std, module + "/"}},
}

var services = []string{std, module + "/pkg/app", module + "/pkg/config", module + "/pkg/telemetry", module + "/pkg/stripesim", secret}

// home says where alone a technology may be used; tests of the places in testsOf may use it too, to look at their room
// from outside. An empty testsOf means the tests of every room.
type home struct {
	technology string
	dirs       []string
	testsOf    []string
}

var homes = []home{
	{technology: stripe, dirs: []string{"pkg/gateway"}, testsOf: []string{"pkg/gateway", "pkg/stripesim"}},
	{technology: echo, dirs: []string{"pkg/httpapi"}, testsOf: []string{"pkg/httpapi"}},
	{technology: sqlx, dirs: []string{"pkg/store", "test"}},
	{technology: pq, dirs: []string{"pkg/store", "cmd/billctl", "test"}},
	{technology: otel, dirs: []string{"pkg/telemetry", "internal/otlptest", "test/otlp"}, testsOf: []string{"nowhere"}},
	{technology: proto, dirs: []string{"pkg/telemetry", "internal/otlptest"}, testsOf: []string{"nowhere"}},
	{technology: yaml, dirs: []string{"internal/openapi"}, testsOf: []string{"nowhere"}},
	{technology: "github.com/chromedp/", dirs: []string{"test/browser"}, testsOf: []string{"nowhere"}},
	{technology: "github.com/santhosh-tekuri/jsonschema/", dirs: nil, testsOf: []string{"internal/openapitest"}},
	{technology: "github.com/stretchr/testify/", dirs: nil, testsOf: []string{"nowhere"}},
}

// roomOf returns the rule for the files of dir.
func roomOf(dir string) (room, bool) {
	for _, r := range rooms {
		if dir == r.dir || strings.HasPrefix(dir, r.dir+"/") {
			return r, true
		}
	}
	return room{}, false
}

// covers reports whether one of the entries stands for the package.
func covers(entries []string, pkg string) bool {
	for _, entry := range entries {
		switch {
		case entry == std && isStd(pkg):
			return true
		case strings.HasSuffix(entry, "/") && strings.HasPrefix(pkg+"/", entry):
			return true
		case entry == pkg:
			return true
		}
	}
	return false
}

// isStd reports whether a path is of the standard library: only paths of other origins begin with a domain.
func isStd(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".") && first != module
}

// isHelper reports whether a directory or an import path is a package of helpers for tests: it is named …test.
func isHelper(path string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return strings.HasSuffix(last, "test") && last != "test"
}
