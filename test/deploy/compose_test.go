package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a key of the compose file with its value and what is indented below it. Only as much of YAML is read as the file uses:
// what the test does not understand it refuses.
type block struct {
	key, value string
	inner      []block
}

func (b block) get(t *testing.T, key string) block {
	t.Helper()
	for _, inner := range b.inner {
		if inner.key == key {
			return inner
		}
	}
	t.Fatalf("%s has no %s", b.key, key)
	return block{}
}

func (b block) has(key string) bool {
	return slices.ContainsFunc(b.inner, func(inner block) bool { return inner.key == key })
}

var keyLine = regexp.MustCompile(`^( *)([A-Za-z_][A-Za-z0-9_-]*|<<):(?: +(.*))?$`)

func read(t *testing.T, path string) block {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(string(content), "\n") {
		if trimmed := strings.TrimSpace(line); trimmed != "" && trimmed[0] != '#' {
			lines = append(lines, line)
		}
	}
	file, rest := below(t, lines, 0)
	if len(rest) > 0 {
		t.Fatalf("%q is not understood", rest[0])
	}
	return block{key: path, inner: file}
}

// below reads the lines that are indented by exactly depth, with what is below each.
func below(t *testing.T, lines []string, depth int) (list []block, rest []string) {
	t.Helper()
	for len(lines) > 0 {
		match := keyLine.FindStringSubmatch(lines[0])
		if match == nil {
			t.Fatalf("%q is not understood", lines[0])
		}
		if len(match[1]) < depth {
			return list, lines
		}
		if len(match[1]) > depth {
			t.Fatalf("%q is indented by more than %d", lines[0], depth)
		}
		value, _, _ := strings.Cut(match[3], " #")
		one := block{key: match[2], value: strings.TrimSpace(value)}
		one.inner, lines = below(t, lines[1:], depth+2)
		list = append(list, one)
	}
	return list, nil
}

// known are the settings that a service may have; each other one needs a look here first. None of these gives rights, but for
// cap_add, network_mode, ports and volumes, which are judged below.
var known = []string{
	"<<", "build", "image", "command", "depends_on", "environment", "network_mode", "volumes", "cap_add", "tmpfs", "ports", "healthcheck", "profiles",
}

func TestContainersHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	t.Parallel()
	file := read(t, "../../docker-compose.yml")
	for _, name := range []string{"x-service", "x-job"} {
		common := file.get(t, name)
		for _, setting := range common.inner {
			if !slices.Contains([]string{"restart", "read_only", "cap_drop", "security_opt", "stop_grace_period"}, setting.key) {
				t.Errorf("%s: %s is not known to this test", name, setting.key)
			}
		}
		for key, want := range map[string]string{"read_only": "true", "cap_drop": "[ALL]", "security_opt": `["no-new-privileges:true"]`} {
			if got := common.get(t, key).value; got != want {
				t.Errorf("%s: %s is %s, want %s", name, key, got, want)
			}
		}
	}
	services := file.get(t, "services").inner
	if len(services) < 8 {
		t.Fatalf("%d services are found", len(services))
	}
	for _, service := range services {
		if merged := service.get(t, "<<").value; merged != "*service" && merged != "*job" {
			t.Errorf("%s takes its rights from %s", service.key, merged)
		}
		for _, setting := range service.inner {
			if !slices.Contains(known, setting.key) {
				t.Errorf("%s: %s is not known to this test", service.key, setting.key)
			}
		}
		judge(t, service)
	}
}

// inRole is the one service that comes into the database by each role.
var inRole = map[string]string{"migrate": "migrate", "api": "api", "worker": "worker", "read": "billctl", "rotate": "rotate"}

func judge(t *testing.T, service block) {
	t.Helper()
	if service.has("cap_add") { // the image of PostgreSQL begins as root, and becomes another user
		if got := service.get(t, "cap_add").value; service.key != "postgres" || got != "[CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]" {
			t.Errorf("%s may %s", service.key, got)
		}
	}
	if service.has("network_mode") && service.get(t, "network_mode").value != "none" {
		t.Errorf("%s: network_mode is %s", service.key, service.get(t, "network_mode").value)
	}
	if service.has("ports") {
		for _, port := range items(service.get(t, "ports").value) {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s listens on %s, beyond this machine", service.key, port)
			}
		}
	}
	maker := service.key == "keys" || service.key == "database-keys"
	if maker && (!service.has("network_mode") || service.has("environment")) {
		t.Errorf("%s makes keys, and is not alone", service.key)
	}
	if !service.has("volumes") {
		return
	}
	for _, volume := range items(service.get(t, "volumes").value) {
		from, _, _ := strings.Cut(volume, ":")
		role, isRole := strings.CutPrefix(from, "role-")
		switch {
		case isRole: // the URL of a role, which the job roles writes
			if service.key != "roles" && (service.key != inRole[role] || !strings.HasSuffix(volume, ":ro")) {
				t.Errorf("%s sees the way into the database that is %s's", service.key, role)
			}
		case !slices.Contains([]string{"keys", "database-keys", "data"}, from):
			t.Errorf("%s has %s of this machine", service.key, from)
		case from == "keys" && slices.Contains([]string{"postgres", "roles", "migrate", "stripesim"}, service.key):
			t.Errorf("%s sees the key that opens the tokens", service.key)
		case from == "database-keys" && !slices.Contains([]string{"database-keys", "postgres", "roles"}, service.key):
			t.Errorf("%s sees the superuser's way into the database", service.key)
		case from == "data" && service.key != "postgres":
			t.Errorf("%s sees the database's files", service.key)
		case from != "data" && !strings.HasSuffix(volume, ":ro") && from != service.key:
			t.Errorf("%s may write to %s", service.key, from)
		}
	}
}

// items reads a list on one line.
func items(value string) []string {
	var list []string
	for _, item := range strings.Split(strings.Trim(value, "[]"), ",") {
		if item = strings.Trim(strings.TrimSpace(item), `"`); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// TestImagesRunAsNobody: each image that is shipped comes from the one base that says who runs it, has no shell in it, and no
// step after that makes it root again.
func TestImagesRunAsNobody(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(string(content), -1)
	var shipped []string
	for _, stage := range stages {
		switch stage[2] {
		case "build":
		case "base":
			if !strings.HasPrefix(stage[1], "gcr.io/distroless/static") || !strings.HasSuffix(stage[1], ":nonroot") {
				t.Errorf("the base is %s", stage[1])
			}
		default:
			shipped = append(shipped, stage[2])
			if stage[1] != "base" {
				t.Errorf("%s is made from %s", stage[2], stage[1])
			}
		}
	}
	slices.Sort(shipped)
	if got := strings.Join(shipped, " "); got != "api billctl stripesim worker" {
		t.Errorf("shipped are %s", got)
	}
	if users := regexp.MustCompile(`(?m)^USER (.*)$`).FindAllStringSubmatch(string(content), -1); len(users) != 1 || users[0][1] != "65532:65532" {
		t.Errorf("the users are %v", users)
	}
	if regexp.MustCompile(`(?mi)^(ARG|ENV) .*(KEY|TOKEN|SECRET|PASSWORD)`).Match(content) {
		t.Error("a secret may stay in an image")
	}
}
