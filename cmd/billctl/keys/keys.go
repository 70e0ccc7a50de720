// Package keys makes the secrets of an installation and keeps them in files.
//
// It promises that a secret is written whole or not at all, that one that exists is never replaced, and that several
// processes which make the same one at once end with the same content. It never prints a secret.
package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keyBytes is the length of an encryption key, and enough for every other secret.
const keyBytes = 32

// Generate returns a new ENCRYPTION_KEY: 32 random bytes in lower-case hex.
func Generate() string {
	random := make([]byte, keyBytes)
	_, _ = rand.Read(random) // never fails since Go 1.24
	return hex.EncodeToString(random)
}

// AdminKey returns a new key for ADMIN_API_KEY. The prefix lets secret scanners and people recognize it.
func AdminKey() string { return "billonce_admin_" + Generate() }

// WriteNew writes content and a line feed to a file that must not exist, readable by its owner alone.
func WriteNew(path, content string) error {
	created, err := place(path, content, 0o600, nil)
	if err == nil && !created {
		err = os.ErrExist
	}
	if err != nil {
		return fmt.Errorf("write a new key to %s: %w", path, err)
	}
	return nil
}

// Ensure returns the content of the file, after writing what make returns to it, readable by its owner alone, if it is
// missing.
func Ensure(path string, make func() string) (string, error) {
	return ensure(file{path: path, mode: 0o600, make: make}, nil)
}

// Owner is whom files are given to; nil leaves them to the user of this process.
type Owner struct{ UID, GID int }

// Init says what to make on the first start of an installation.
type Init struct {
	Dir string
	// Owner receives the files that only the services read. Only root may name one.
	Owner *Owner
	// Database is the URL that database_url gets, with the password of postgres_password added.
	Database url.URL
	// Only names the files to make; empty means all of [Names].
	Only []string
}

// Names are the files that Run makes.
func Names() []string {
	return []string{encryptionKey, adminKey, postgresPassword, databaseURL}
}

const (
	encryptionKey    = "encryption_key"
	adminKey         = "admin_api_key"
	postgresPassword = "postgres_password"
	databaseURL      = "database_url"
)

// Made says what happened to one file.
type Made struct {
	Path    string
	Created bool // false: it was there already
}

// Run makes what is missing of encryption_key, admin_api_key, postgres_password and database_url. The first two and the
// last are for their owner's eyes (0400); postgres_password is readable by all (0444), because the database server runs as
// another user: whom the folder is mounted for decides who sees it.
func (i Init) Run() ([]Made, error) {
	for _, name := range i.Only {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(Names(), ", "))
		}
	}
	if slices.Contains(i.Only, databaseURL) && !slices.Contains(i.Only, postgresPassword) {
		return nil, fmt.Errorf("%s needs %s: make them together", databaseURL, postgresPassword)
	}
	if err := os.MkdirAll(i.Dir, 0o755); err != nil { //nolint:gosec // the database's user passes through it
		return nil, fmt.Errorf("make the folder of the keys: %w", err)
	}
	var made []Made
	add := func(f file) (string, error) {
		_, missing := os.Lstat(f.path)
		content, err := ensure(f, i.Owner)
		if err == nil {
			made = append(made, Made{Path: f.path, Created: missing != nil})
		}
		return content, err
	}
	var password string
	for _, f := range []file{
		{i.path(encryptionKey), 0o400, Generate},
		{i.path(adminKey), 0o400, AdminKey},
		{i.path(postgresPassword), 0o444, Generate},
		{i.path(databaseURL), 0o400, func() string {
			address := i.Database
			address.User = url.UserPassword(address.User.Username(), password)
			return address.String()
		}},
	} {
		name := filepath.Base(f.path)
		if len(i.Only) > 0 && !slices.Contains(i.Only, name) {
			continue
		}
		content, err := add(f)
		if err != nil {
			return made, err
		}
		if name == postgresPassword {
			password = content
		}
	}
	return made, nil
}

func (i Init) path(name string) string { return filepath.Join(i.Dir, name) }

type file struct {
	path string
	mode os.FileMode
	make func() string
}

// ensure returns the file's content, written first where it is missing.
func ensure(f file, owner *Owner) (string, error) {
	if _, err := os.Lstat(f.path); errors.Is(err, os.ErrNotExist) {
		if _, err := place(f.path, f.make(), f.mode, owner); err != nil {
			return "", fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", f.path, err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("read %s: it is empty; remove it to have it made again", f.path)
	}
	return text, nil
}

// place writes a file whole under a name of its own and links it to path, which fails when somebody was quicker; then
// theirs stays and created is false.
func place(path, content string, mode os.FileMode, owner *Owner) (created bool, err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name())) }()
	_, err = draft.WriteString(content + "\n")
	if err == nil && owner != nil {
		err = draft.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		err = draft.Chmod(mode)
	}
	if err == nil {
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return false, err
	}
	if err := os.Link(draft.Name(), path); errors.Is(err, os.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, syncFolder(filepath.Dir(path))
}

// syncFolder makes the new name survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the folder just written to
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
