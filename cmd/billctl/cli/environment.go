package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"billonce/pkg/config"
	"billonce/pkg/secret"
	"billonce/pkg/store"
)

// variable returns a secret from the variable or from the file that its _FILE form names. found is false when neither is
// set; both set is an error. No error shows a value.
func (p *program) variable(name string) (value secret.Text, found bool, err error) {
	text, direct := p.lookup(name)
	path, byFile := p.lookup(name + "_FILE")
	switch {
	case direct && byFile:
		return secret.Text{}, false, configError{fmt.Errorf("%s and %s_FILE are both set: keep one", name, name)}
	case direct:
		return secret.New(text), true, nil
	case !byFile:
		return secret.Text{}, false, nil
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		var cause *os.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return secret.Text{}, false, configError{fmt.Errorf("%s_FILE cannot be read: %w", name, err)}
	}
	text = strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return secret.Text{}, false, configError{fmt.Errorf("%s_FILE names an empty file", name)}
	}
	return secret.New(text), true, nil
}

// lookup treats an empty variable as one that is not set, as compose files produce them.
func (p *program) lookup(name string) (string, bool) {
	value, ok := p.Lookup(name)
	return value, ok && value != ""
}

// databaseURL returns DATABASE_URL, which must be set.
func (p *program) databaseURL() (secret.Text, error) {
	url, found, err := p.variable("DATABASE_URL")
	if err != nil {
		return secret.Text{}, err
	}
	if !found {
		return secret.Text{}, configError{errors.New("DATABASE_URL is not set, nor is DATABASE_URL_FILE")}
	}
	return url, p.checkEncrypted(url)
}

// checkEncrypted refuses, as the services do, to leave the machine without TLS in production.
func (p *program) checkEncrypted(url secret.Text) error {
	environment, _ := p.lookup("APP_ENV")
	given, _ := p.lookup("DATABASE_ALLOW_PLAINTEXT")
	allowed, err := config.ParseSwitch(given)
	if err != nil {
		return configError{errors.New("DATABASE_ALLOW_PLAINTEXT cannot be read as true or false")}
	}
	if environment != string(config.Production) || allowed {
		return nil
	}
	if plain, err := store.MayGoInClear(url); err == nil && plain { // what cannot be read, whoever opens it says
		return configError{errors.New("DATABASE_URL must name sslmode=verify-full (or require, which checks no certificate), unless the " +
			"server is on this machine; DATABASE_ALLOW_PLAINTEXT=true allows connections without TLS")}
	}
	return nil
}

// apiKey returns the first of BILLONCE_API_KEY and ADMIN_API_KEY that is set; found says whether one is.
func (p *program) apiKey() (key secret.Text, found bool, err error) {
	for _, name := range []string{"BILLONCE_API_KEY", "ADMIN_API_KEY"} {
		if key, found, err = p.variable(name); found || err != nil {
			return key, found, err
		}
	}
	return secret.Text{}, false, nil
}
