package browser_test

import (
	"os"
	"path/filepath"
	"testing"

	"billonce/internal/programtest"
)

// TestMain ends the browser and removes the programs after the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if c, err := theChrome(); err == nil {
			c.close()
		}
	}
	programtest.Remove()
	os.Exit(code)
}

// artefacts is where pictures are kept: BROWSER_ARTEFACTS, or artefacts beside this file.
func artefacts() string {
	if dir := os.Getenv("BROWSER_ARTEFACTS"); dir != "" {
		return dir
	}
	return "artefacts"
}

// keep keeps a picture of the tab under a name. It never fails the test: a picture of a failure is a help and no more.
func (b *tab) keep(name string, whole bool) {
	b.t.Helper()
	if err := os.MkdirAll(artefacts(), 0o750); err != nil {
		b.t.Logf("no picture is kept: %v", err)
		return
	}
	png, err := b.tryPicture(whole)
	if err == nil {
		err = os.WriteFile(filepath.Join(artefacts(), name+".png"), png, 0o600)
	}
	if err != nil {
		b.t.Logf("no picture of %s is kept: %v", name, err)
	}
}
