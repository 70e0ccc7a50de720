package deploy

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheBuildContextHasWhatIsBuilt: what the programs are made of is not kept from the Docker daemon by .dockerignore.
func TestTheBuildContextHasWhatIsBuilt(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Split(string(content), "\n")
	files := sources(t)
	if len(files) < 100 {
		t.Fatalf("%d files are found", len(files))
	}
	for _, file := range files {
		if !sent(rules, file) {
			t.Errorf("%s does not reach the build", file)
		}
	}
}

// sent says whether a file is sent: the last rule that fits it, or a folder above it, decides.
func sent(rules []string, file string) bool {
	is := true
	for _, rule := range rules {
		pattern, taken := strings.CutPrefix(strings.TrimSpace(rule), "!")
		if pattern == "" || pattern[0] == '#' {
			continue
		}
		base, anywhere := strings.CutPrefix(pattern, "**/")
		for at := file; at != "."; at = path.Dir(at) {
			name := at
			if anywhere {
				name = path.Base(at)
			}
			if fits, _ := path.Match(base, name); fits {
				is = taken
			}
		}
	}
	return is
}

// sources lists the files of this module that the programs are built from.
func sources(t *testing.T) (files []string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,Module,GoFiles,EmbedFiles", "./cmd/...")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one struct {
			Dir                 string
			Module              *struct{ Main bool }
			GoFiles, EmbedFiles []string
		}
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if one.Module == nil || !one.Module.Main {
			continue
		}
		for _, name := range append(one.GoFiles, one.EmbedFiles...) {
			file, err := filepath.Rel(root, filepath.Join(one.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.ToSlash(file))
		}
	}
}
