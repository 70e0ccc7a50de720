package contexts_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"billonce/cmd/billctl/contexts"
	"billonce/pkg/secret"
)

const canary = "bo_live_contextcanarycontextcanary"

func TestTheFileIsFoundWhereTheBaseDirectoriesAre(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"XDG":       {map[string]string{"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/billonce/config.json"},
		"Home":      {map[string]string{"HOME": "/h"}, "/h/.config/billonce/config.json"},
		"NotAWhole": {map[string]string{"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/h/.config/billonce/config.json"},
		"Nowhere":   {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, found := contexts.Path(func(name string) (string, bool) { value, ok := tc.env[name]; return value, ok })
			if got != tc.want || found != (tc.want != "") {
				t.Errorf("%q, %t", got, found)
			}
		})
	}
}

func TestItIsKeptForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "below", "config.json")
	if file, err := contexts.Load(path); err != nil || len(file.Contexts) != 0 {
		t.Fatalf("%v, %v", file, err)
	}
	err := contexts.Update(path, func(file *contexts.File) error {
		file.Current = "prod"
		file.Contexts["prod"] = contexts.Context{URL: "https://billing.example", Key: secret.New(canary), Production: true}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(place); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", place, info.Mode(), err)
		}
	}
	file, err := contexts.Load(path)
	if one := file.Contexts["prod"]; err != nil || file.Current != "prod" || one.Key.Reveal() != canary || !one.Production {
		t.Errorf("%+v, %v", file, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", file, file, file); strings.Contains(text, canary) {
		t.Error("a printer shows the key")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := contexts.Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
}

func TestAFaultLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.json")
	put := func(change func(*contexts.File) error) error { return contexts.Update(path, change) }
	if err := put(func(file *contexts.File) error { file.Contexts["a"] = contexts.Context{URL: "https://a"}; return nil }); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := put(func(file *contexts.File) error { file.Contexts["b"] = contexts.Context{}; return no }); !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
	err = put(func(file *contexts.File) error {
		file.Contexts["b"] = contexts.Context{Key: secret.New(canary), KeyFile: "/x"}
		return nil
	})
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("two ways to come by a key: %v", err)
	}
	if err := put(func(file *contexts.File) error { file.Contexts["../b"] = contexts.Context{}; return nil }); err == nil {
		t.Error("a name that is a path is taken")
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("%v\n%s", err, after)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 { // the file and its lock
		t.Errorf("%v, %v", entries, err)
	}
}

func TestManyProcessesUndoNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.json")
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			err := contexts.Update(path, func(file *contexts.File) error {
				file.Contexts[fmt.Sprintf("c%d", i)] = contexts.Context{URL: "https://x"}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if file, err := contexts.Load(path); err != nil || len(file.Contexts) != 20 {
		t.Errorf("%d contexts, %v", len(file.Contexts), err)
	}
}

func TestWhatIsWrongInTheFileIsNotQuoted(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"NotJSON":     `{"contexts": {"a": {"key": "` + canary + `"`,
		"WrongType":   `{"contexts": {"a": "` + canary + `"}}`,
		"Unknown":     `{"contexts": {"a": {"token": "` + canary + `"}}}`,
		"TwoWays":     `{"contexts": {"a": {"url": "https://a", "key": "` + canary + `", "key_command": "x"}}}`,
		"ABadName":    `{"contexts": {"` + canary + `!": {}}}`,
		"Nothing":     ``,
		"UnknownName": `{"` + canary + `": 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := contexts.Load(path); err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestHowTheKeyIsComeBy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]contexts.Context{
		"Kept": {Key: secret.New(canary)}, "File": {KeyFile: path}, "Command": {KeyCommand: "cat '" + path + "'"},
	} {
		if key, err := one.ResolveKey(t.Context(), contexts.Terminal{}); err != nil || key.Reveal() != canary || !one.HasKey() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for mode, want := range map[os.FileMode]os.FileMode{0o600: 0, 0o400: 0, 0o640: 0o640, 0o604: 0o604, 0o620: 0o620, 0o666: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := (contexts.Context{KeyFile: path}).Exposed(); got != want {
			t.Errorf("a file of mode %#o is said to be open by %#o", mode, got)
		}
	}
	for name, one := range map[string]contexts.Context{"Kept": {Key: secret.New(canary)}, "NotThere": {KeyFile: path + "x"}, "NoFile": {KeyFile: os.DevNull}} {
		if got := one.Exposed(); got != 0 {
			t.Errorf("%s: %#o", name, got)
		}
	}
	for name, one := range map[string]contexts.Context{
		"NoFile": {KeyFile: path + "x"}, "CommandFails": {KeyCommand: "cat '" + path + "'; exit 3"}, "TwoLines": {KeyCommand: "cat '" + path + "' '" + path + "'"},
		"Nothing": {KeyCommand: "true"}, "TooMuch": {KeyCommand: "yes " + canary}, "None": {},
	} {
		if _, err := one.ResolveKey(t.Context(), contexts.Terminal{}); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
