package dev

import (
	"os"
	"slices"
	"strings"
)

// environ returns this program's environment with settings put in place of whatever it says of them. A setting's plain and
// _FILE forms replace one another; an empty value only removes.
func environ(settings map[string]string) []string {
	replaced := map[string]bool{}
	for name := range settings {
		base := strings.TrimSuffix(name, "_FILE")
		replaced[base], replaced[base+"_FILE"] = true, true
	}
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return replaced[name]
	})
	for name, value := range settings {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
