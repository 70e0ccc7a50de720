package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// serves reports whether the process is a PostgreSQL server of that data folder, which a server makes its working
// directory.
func serves(pid int, data string) bool {
	process := filepath.Join("/proc", strconv.Itoa(pid))
	name, err := os.ReadFile(filepath.Join(process, "comm")) //nolint:gosec // a path under /proc
	if err != nil || strings.TrimSpace(string(name)) != "postgres" {
		return false
	}
	folder, err := os.Readlink(filepath.Join(process, "cwd"))
	return err == nil && folder == resolve(data)
}
