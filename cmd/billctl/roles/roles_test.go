package roles_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"billonce/cmd/billctl/roles"
)

// TestTheCompositionGivesEachProgramItsRole reads docker-compose.yml as text: who mounts which URL.
func TestTheCompositionGivesEachProgramItsRole(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, services, found := strings.Cut(string(content), "\nservices:\n")
	services, _, ended := strings.Cut(services, "\nvolumes:\n")
	if !found || !ended {
		t.Fatal("the file has no services, or no volumes")
	}
	blocks := map[string]string{}
	starts := regexp.MustCompile(`(?m)^  ([a-z-]+):\n`).FindAllStringSubmatchIndex(services, -1)
	for i, start := range starts {
		end := len(services)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		blocks[services[start[2]:start[3]]] = services[start[1]:end]
	}
	for service, role := range map[string]string{"api": "api", "worker": "worker", "migrate": "migrate", "billctl": "read", "rotate": "rotate"} {
		if !strings.Contains(blocks[service], `"role-`+role+`:/database:ro"`) {
			t.Errorf("%s does not mount the URL of %s", service, role)
		}
		if strings.Count(blocks[service], `"role-`) != 1 || strings.Contains(blocks[service], "database-keys:/") {
			t.Errorf("%s mounts somebody else's URL", service)
		}
	}
	for folder := range roles.Folders() {
		if !strings.Contains(blocks["roles"], `"role-`+folder+`:/roles/`+folder+`"`) {
			t.Errorf("no URL is made for %s", folder)
		}
		if !strings.Contains(string(content), "\n  role-"+folder+":\n") {
			t.Errorf("there is no volume for %s", folder)
		}
	}
}
