package deploy

import "testing"

// TestSettingsOfKeysReachWhoNeedsThem: a rotation takes more than one key, in the services and in the command that rotates.
func TestSettingsOfKeysReachWhoNeedsThem(t *testing.T) {
	t.Parallel()
	file := read(t, "../../docker-compose.yml")
	common, services := file.get(t, "x-settings"), file.get(t, "services")
	for name, want := range map[string]string{
		"ENCRYPTION_KEY_FILE":      `&key /keys/encryption_key`,
		"ENCRYPTION_KEYS_PREVIOUS": `&previous "${ENCRYPTION_KEYS_PREVIOUS:-}"`,
		"ENCRYPTION_BINDING":       `&binding "${ENCRYPTION_BINDING:-}"`,
	} {
		if got := common.get(t, name).value; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"api", "worker"} {
		if got := services.get(t, name).get(t, "environment").get(t, "<<").value; got != "*settings" {
			t.Errorf("%s has the settings %s", name, got)
		}
	}
	rotate := services.get(t, "rotate").get(t, "environment")
	for name, want := range map[string]string{
		"ENCRYPTION_KEY_FILE": "*key", "ENCRYPTION_KEYS_PREVIOUS": "*previous", "ENCRYPTION_BINDING": "*binding",
	} {
		if got := rotate.get(t, name).value; got != want {
			t.Errorf("rotate: %s is %s, want %s", name, got, want)
		}
	}
	if got := services.get(t, "api").get(t, "environment").get(t, "API_TRUSTED_PROXIES").value; got != `"${API_TRUSTED_PROXIES:-}"` {
		t.Errorf("API_TRUSTED_PROXIES is %s", got)
	}
}
