// Package roles makes the roles of a database and the URLs with which programs log in as them.
//
// It promises that a URL that exists is never replaced, that a password never reaches the server except as a hash, and that running it
// again changes nothing but what somebody else has changed.
package roles

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"billonce/cmd/billctl/keys"
	"billonce/pkg/secret"
	"billonce/pkg/store"
)

// urlFile is the name of the file that holds a role's URL.
const urlFile = "database_url"

// Folders are the folders' names of roles below the folder that [LetIn] is given.
func Folders() map[string]store.Role {
	return map[string]store.Role{
		"migrate": store.RoleMigrate, "api": store.RoleAPI, "worker": store.RoleWorker, "read": store.RoleRead, "rotate": store.RoleRotate,
	}
}

// Open prepares the database for [store.DB.ApplyRoles] and [LetIn].
func Open(address secret.Text) (*store.DB, error) {
	return store.Open(store.Options{URL: address, MaxConns: 1, Name: "billctl roles"})
}

// LetIn lets roles log in, each by the URL in the file database_url of its folder below dir, which is made where it is missing: address
// with a password of the role's own. A role that has no folder is left as it is. It returns the files.
func LetIn(ctx context.Context, db *store.DB, address secret.Text, dir string) ([]string, error) {
	var paths []string
	for name, role := range Folders() {
		folder := filepath.Join(dir, name)
		if info, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) || err == nil && !info.IsDir() {
			continue
		}
		made, _, err := As(address, role)
		if err != nil {
			return paths, err
		}
		path := filepath.Join(folder, urlFile)
		kept, err := keys.Ensure(path, made.Reveal)
		if err != nil {
			return paths, err
		}
		password, err := passwordIn(kept, role)
		if err != nil {
			return paths, fmt.Errorf("read %s: %w", path, err)
		}
		if err := db.LetIn(ctx, role, password); err != nil {
			return paths, err
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no folder named after a role", dir)
	}
	return paths, nil
}

// As returns the URL of the same database for a role, with a new password.
func As(address secret.Text, role store.Role) (as, password secret.Text, err error) {
	parsed, err := url.Parse(address.Reveal())
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		return as, password, errors.New("DATABASE_URL must be a postgres:// URL here") // the cause would show it
	}
	text := keys.Generate()
	parsed.User = url.UserPassword(string(role), text)
	return secret.New(parsed.String()), secret.New(text), nil
}

// passwordIn returns the password of a URL, which must be the role's.
func passwordIn(address string, role store.Role) (secret.Text, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.User.Username() != string(role) {
		return secret.Text{}, fmt.Errorf("it is no URL of the role %s", role)
	}
	password, _ := parsed.User.Password()
	return secret.New(password), nil
}
