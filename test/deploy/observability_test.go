package deploy

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestWatchersHaveNoMoreRightsThanTheyNeed: Prometheus and Grafana, whose images no test here can start, see their own files only, may
// write nothing but their own volumes, and are reached from this machine alone.
func TestWatchersHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	t.Parallel()
	file := read(t, "../../deploy/compose.observability.yml")
	common := file.get(t, "x-service")
	for key, want := range map[string]string{"read_only": "true", "cap_drop": "[ALL]", "security_opt": `["no-new-privileges:true"]`} {
		if got := common.get(t, key).value; got != want {
			t.Errorf("x-service: %s is %s, want %s", key, got, want)
		}
	}
	for _, service := range file.get(t, "services").inner {
		if service.key == "api" || service.key == "worker" {
			settings := service.get(t, "environment").inner
			if len(service.inner) != 1 || len(settings) != 1 || settings[0].key != "OPS_ADDR" {
				t.Errorf("%s is changed in more than where its ops listener is", service.key)
			}
			continue
		}
		if merged := service.get(t, "<<").value; merged != "*service" {
			t.Errorf("%s takes its rights from %s", service.key, merged)
		}
		for _, setting := range service.inner {
			if !slices.Contains(known, setting.key) || setting.key == "cap_add" || setting.key == "network_mode" {
				t.Errorf("%s: %s is not known to this test", service.key, setting.key)
			}
		}
		for _, port := range items(service.get(t, "ports").value) {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s listens on %s, beyond this machine", service.key, port)
			}
		}
		for _, volume := range items(service.get(t, "volumes").value) {
			from, _, _ := strings.Cut(volume, ":")
			switch own, ofTree := strings.CutPrefix(from, "./"); {
			case !ofTree && !file.get(t, "volumes").has(from):
				t.Errorf("%s mounts %s", service.key, from)
			case ofTree && (!strings.HasPrefix(own, "deploy/") || !strings.HasSuffix(volume, ":ro")):
				t.Errorf("%s mounts %s", service.key, volume)
			case ofTree:
				if _, err := os.Stat("../../" + own); err != nil {
					t.Errorf("%s mounts what is not there: %v", service.key, err)
				}
			}
		}
	}
}
