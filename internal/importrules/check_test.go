package importrules_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"billonce/internal/importrules"
)

func TestTheTreeKeepsItsRules(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	found, err := importrules.Check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range found {
		t.Error(violation)
	}
}

func TestTheTreeIsReallyRead(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"../../pkg/billing", "../../pkg/store", "../../cmd"} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the test no longer runs two levels below the root: %v", err)
		}
	}
}

// file builds a Go file that imports the packages.
func file(imports ...string) *fstest.MapFile {
	text := "package p\n"
	for _, pkg := range imports {
		text += "import _ \"" + pkg + "\"\n"
	}
	return &fstest.MapFile{Data: []byte(text)}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		billing = "billonce/pkg/billing"
		echo    = "github.com/labstack/echo/v4"
		stripe  = "github.com/stripe/stripe-go/v76"
		sqlx    = "github.com/jmoiron/sqlx"
		pq      = "github.com/lib/pq"
	)
	long := &fstest.MapFile{Data: []byte("package p\n" + strings.Repeat("\n", 400))}
	cases := map[string]struct {
		path string
		file *fstest.MapFile
		want []string
	}{
		"ARoomUsesTheCentre":           {"pkg/worker/a.go", file("context", billing, "billonce/pkg/secret"), nil},
		"ARoomUsesItsOwnParts":         {"pkg/store/a.go", file("billonce/pkg/store/parts"), nil},
		"AppUsesAllRooms":              {"pkg/app/a.go", file("billonce/pkg/store", "billonce/pkg/gateway", billing), nil},
		"TheSimulatorIsTestedByStripe": {"pkg/stripesim/a_test.go", file(stripe + "/client"), nil},
		"TestsUseHelpers":              {"pkg/worker/a_test.go", file("testing", "billonce/pkg/store/storetest", sqlx), nil},
		"HelpersUseTesting":            {"pkg/store/storetest/a.go", file("testing", "billonce/pkg/vault", sqlx, pq), nil},
		"TestsMayBeLong":               {"pkg/store/a_test.go", long, nil},
		"BenchIsAnotherModule":         {"bench/a.go", file(stripe), nil},
		"TestdataIsNotSource":          {"pkg/vault/testdata/a.go", file(stripe), nil},
		"BillingImportsAModule": {
			"pkg/billing/a.go", file("github.com/google/uuid"),
			[]string{"pkg/billing/a.go: imports github.com/google/uuid: not for pkg/billing"},
		},
		"BillingDoesIO": {
			"pkg/billing/a.go", file("os", "net/http"),
			[]string{"pkg/billing/a.go: imports os: not for pkg/billing", "pkg/billing/a.go: imports net/http: not for pkg/billing"},
		},
		"SecretKnowsBilling": {
			"pkg/secret/a.go", file(billing),
			[]string{"pkg/secret/a.go: imports billonce/pkg/billing: not for pkg/secret"},
		},
		"VaultKnowsSQL": {
			"pkg/vault/a.go", file("database/sql"),
			[]string{"pkg/vault/a.go: imports database/sql: not for pkg/vault"},
		},
		"ASiblingKnowsASibling": {
			"pkg/worker/a.go", file("billonce/pkg/store"),
			[]string{"pkg/worker/a.go: imports billonce/pkg/store: not for pkg/worker"},
		},
		"ASiblingKnowsAPartOfASibling": {
			"pkg/httpapi/inner/a.go", file("billonce/pkg/gateway/form"),
			[]string{"pkg/httpapi/inner/a.go: imports billonce/pkg/gateway/form: not for pkg/httpapi"},
		},
		"ARoomWithASimilarNameIsAnother": {
			"pkg/worker/a.go", file("billonce/pkg/workers"),
			[]string{"pkg/worker/a.go: imports billonce/pkg/workers: not for pkg/worker"},
		},
		"StripeOutsideTheGateway": {
			"pkg/worker/a.go", file(stripe),
			[]string{"pkg/worker/a.go: imports github.com/stripe/stripe-go/v76: github.com/stripe/stripe-go is not used here"},
		},
		"StripeInTestsOfAnotherRoom": {
			"pkg/worker/a_test.go", file(stripe),
			[]string{"pkg/worker/a_test.go: imports github.com/stripe/stripe-go/v76: github.com/stripe/stripe-go is not used here"},
		},
		"StripeInTheSimulatorItself": {
			"pkg/stripesim/a.go", file(stripe),
			[]string{"pkg/stripesim/a.go: imports github.com/stripe/stripe-go/v76: github.com/stripe/stripe-go is not used here"},
		},
		"EchoOutsideTheAPI": {
			"pkg/app/a.go", file(echo),
			[]string{"pkg/app/a.go: imports github.com/labstack/echo/v4: github.com/labstack/echo/v4 is not used here"},
		},
		"SQLOutsideTheStore": {
			"pkg/app/a.go", file(sqlx, pq, "database/sql"),
			[]string{
				"pkg/app/a.go: imports github.com/jmoiron/sqlx: github.com/jmoiron/sqlx is not used here",
				"pkg/app/a.go: imports github.com/lib/pq: github.com/lib/pq is not used here",
				"pkg/app/a.go: imports database/sql: not for pkg/app",
			},
		},
		"OpenTelemetryOutsideTelemetry": {
			"pkg/worker/a.go", file("go.opentelemetry.io/otel/trace"),
			[]string{"pkg/worker/a.go: imports go.opentelemetry.io/otel/trace: go.opentelemetry.io is not used here"},
		},
		"OpenTelemetryWhereAllIsWired": {
			"pkg/app/a.go", file("go.opentelemetry.io/otel/sdk/trace"),
			[]string{"pkg/app/a.go: imports go.opentelemetry.io/otel/sdk/trace: go.opentelemetry.io is not used here"},
		},
		"OpenTelemetryInTelemetry": {"pkg/telemetry/a.go", file("go.opentelemetry.io/otel/sdk/trace"), nil},
		"AnAssertionLibraryInTests": {
			"pkg/store/a_test.go", file("github.com/stretchr/testify/require"),
			[]string{"pkg/store/a_test.go: imports github.com/stretchr/testify/require: github.com/stretchr/testify is not used here"},
		},
		"AHelperInABinary": {
			"pkg/app/a.go", file("billonce/pkg/store/storetest"),
			[]string{"pkg/app/a.go: imports billonce/pkg/store/storetest: for tests only"},
		},
		"TestingInABinary": {
			"pkg/gateway/a.go", file("testing"),
			[]string{"pkg/gateway/a.go: imports testing: for tests only"},
		},
		"TestingPartsInABinary": {
			"cmd/billctl/a.go", file("testing/fstest"),
			[]string{"cmd/billctl/a.go: imports testing/fstest: for tests only"},
		},
		"AServiceWiresRoomsItself": {
			"cmd/api/main.go", file("billonce/pkg/store"),
			[]string{"cmd/api/main.go: imports billonce/pkg/store: not for cmd/api"},
		},
		"ARoomWithoutARule": {
			"pkg/ledger/a.go", file("context"),
			[]string{"pkg/ledger/a.go: the directory has no rule in internal/importrules/rules.go"},
		},
		"AFileIsTooLong": {
			"pkg/store/a.go", long,
			[]string{"pkg/store/a.go: 401 lines, at most 400"},
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := importrules.Check(fstest.MapFS{test.path: test.file})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckRefusesWhatItCannotParse(t *testing.T) {
	t.Parallel()
	broken := fstest.MapFS{"pkg/store/a.go": {Data: []byte("package p\nimport \"")}}
	if found, err := importrules.Check(broken); err == nil {
		t.Errorf("got %q, want an error", found)
	}
}
