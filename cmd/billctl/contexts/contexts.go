// Package contexts keeps, for a person who operates several installations, where each is and how its key is come by.
//
// It promises that the file is readable by its owner alone, and is not read otherwise; that it is replaced whole or not at all, and
// that of several processes which change it at once none undoes what another did. It never prints a key, and no error holds one.
package contexts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"billonce/pkg/secret"
)

// File is all that is kept.
type File struct {
	Current  string // name of the context that is meant when none is named; "" means none
	Contexts map[string]Context
}

// Context is one installation.
type Context struct {
	URL string
	// At most one of the three says how the key is come by; none leaves it to the environment.
	Key        secret.Text
	KeyFile    string // absolute
	KeyCommand string // run by the shell; prints the key

	Production     bool // ask before anything is changed
	AllowPlaintext bool // http to another machine
}

// stored is how a File is written.
type stored struct {
	Current  string                   `json:"current,omitempty"`
	Contexts map[string]storedContext `json:"contexts"`
}

type storedContext struct {
	URL            string `json:"url"`
	Key            string `json:"key,omitempty"`
	KeyFile        string `json:"key_file,omitempty"`
	KeyCommand     string `json:"key_command,omitempty"`
	Production     bool   `json:"production,omitempty"`
	AllowPlaintext bool   `json:"allow_plaintext,omitempty"`
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// CheckName returns an error unless text can be a context's name.
func CheckName(text string) error {
	if !namePattern.MatchString(text) {
		return errors.New("a context's name has up to 63 letters, digits, dots, dashes and underscores, and begins with a letter or a digit")
	}
	return nil
}

// Names returns the names in their order.
func (f File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// Path returns where the file is: below XDG_CONFIG_HOME, or below .config in HOME. found is false where neither is named.
func Path(lookup func(string) (string, bool)) (path string, found bool) {
	// The base directory specification has relative paths ignored.
	if base, ok := lookup("XDG_CONFIG_HOME"); ok && filepath.IsAbs(base) {
		return filepath.Join(base, "billonce", "config.json"), true
	}
	if home, ok := lookup("HOME"); ok && filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "billonce", "config.json"), true
	}
	return "", false
}

// Load reads the file. One that does not exist holds nothing.
func Load(path string) (File, error) {
	file, err := os.Open(path) //nolint:gosec // the operator's own file
	if errors.Is(err, os.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		return File{}, fmt.Errorf("read the contexts: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return File{}, fmt.Errorf("read the contexts: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&forOthers != 0 {
		return File{}, fmt.Errorf("read the contexts: %s may hold keys and must be a file for its owner alone: chmod 600 %[1]s", path)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return File{}, fmt.Errorf("read the contexts: %w", err)
	}
	return parse(path, content)
}

func parse(path string, content []byte) (File, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var kept stored
	if err := decoder.Decode(&kept); err != nil {
		return File{}, fmt.Errorf("read the contexts: %s does not hold what it should%s", path, where(err)) // the cause may quote a key
	}
	file := File{Current: kept.Current, Contexts: map[string]Context{}}
	for name, one := range kept.Contexts {
		file.Contexts[name] = Context{
			URL: one.URL, Key: secret.New(one.Key), KeyFile: one.KeyFile, KeyCommand: one.KeyCommand,
			Production: one.Production, AllowPlaintext: one.AllowPlaintext,
		}
		if err := file.Contexts[name].check(name); err != nil {
			return File{}, fmt.Errorf("read the contexts: %s: %w", path, err)
		}
	}
	return file, nil
}

// where says at which byte the content of the file is wrong, if that is known.
func where(err error) string {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf(", at byte %d", syntax.Offset)
	case errors.As(err, &wrongType):
		return fmt.Sprintf(", at byte %d", wrongType.Offset)
	}
	return ""
}

func (c Context) check(named string) error {
	if err := CheckName(named); err != nil {
		return err
	}
	ways := 0
	for _, given := range []bool{!c.Key.Empty(), c.KeyFile != "", c.KeyCommand != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return fmt.Errorf("context %s has more than one of key, key_file and key_command", named)
	}
	return nil
}

// Update changes the file, or makes it. Nothing is changed when change returns an error.
func Update(path string, change func(*File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	defer unlock()
	file, err := Load(path)
	if err != nil {
		return err
	}
	if file.Contexts == nil {
		file.Contexts = map[string]Context{}
	}
	if err := change(&file); err != nil {
		return err
	}
	kept := stored{Current: file.Current, Contexts: map[string]storedContext{}}
	for name, one := range file.Contexts {
		if err := one.check(name); err != nil {
			return err
		}
		kept.Contexts[name] = storedContext{
			URL: one.URL, Key: one.Key.Reveal(), KeyFile: one.KeyFile, KeyCommand: one.KeyCommand,
			Production: one.Production, AllowPlaintext: one.AllowPlaintext,
		}
	}
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(kept); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := replace(path, content.Bytes()); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	return nil
}

// lock waits until no other process changes the file.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // beside the operator's own file
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil // which gives the lock up
}

// replace writes a new file and puts it in the place of the old one. Where that is a link, it stays one.
func replace(path string, content []byte) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), ".config-*") // for its owner alone
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(fresh.Name())
		}
	}()
	_, err = fresh.Write(content)
	if err == nil {
		err = fresh.Sync()
	}
	if err = errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	if err = os.Rename(fresh.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
