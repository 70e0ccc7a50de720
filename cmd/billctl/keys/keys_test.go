package keys_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/cmd/billctl/keys"
)

func initIn(dir string) keys.Init {
	return keys.Init{Dir: dir, Database: url.URL{
		Scheme: "postgres", User: url.User("billonce"), Host: "postgres:5432", Path: "/billonce", RawQuery: "sslmode=disable",
	}}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(content)
	}
	return all
}

func TestGenerateMakesADifferentKeyEachTime(t *testing.T) {
	t.Parallel()
	first, second := keys.Generate(), keys.Generate()
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(first) || first == second {
		t.Errorf("keys %q and %q", first, second)
	}
}

func TestWriteNew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := keys.WriteNew(path, "first"); err != nil {
		t.Fatal(err)
	}
	if err := keys.WriteNew(path, "second"); !errors.Is(err, os.ErrExist) {
		t.Errorf("the second time: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"key": "first\n"}, contents(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	made, err := initIn(dir).Run()
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	for _, one := range made {
		info, err := os.Stat(one.Path)
		if err != nil {
			t.Fatal(err)
		}
		modes[info.Name()] = info.Mode()
		if !one.Created {
			t.Errorf("%s is said to be old", one.Path)
		}
	}
	want := map[string]os.FileMode{"encryption_key": 0o400, "admin_api_key": 0o400, "postgres_password": 0o444, "database_url": 0o400}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
	first := contents(t, dir)
	password := first["postgres_password"]
	if got, want := first["database_url"], "postgres://billonce:"+password[:len(password)-1]+"@postgres:5432/billonce?sslmode=disable\n"; got != want {
		t.Error("database_url does not go with the password")
	}

	again, err := initIn(dir).Run()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range again {
		if one.Created {
			t.Errorf("%s is said to be new", one.Path)
		}
	}
	if diff := cmp.Diff(first, contents(t, dir)); diff != "" {
		t.Error("the second run changed something")
	}
}

func TestInitByManyAtOnceAgrees(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var group sync.WaitGroup
	faults := make(chan error, 16)
	for range cap(faults) {
		group.Go(func() {
			_, err := initIn(dir).Run()
			faults <- err
		})
	}
	group.Wait()
	close(faults)
	for err := range faults {
		if err != nil {
			t.Error(err)
		}
	}
	all := contents(t, dir)
	if len(all) != 4 {
		t.Errorf("%d files, want 4: drafts are left behind", len(all))
	}
	address, err := url.Parse(all["database_url"][:len(all["database_url"])-1])
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := address.User.Password(); password+"\n" != all["postgres_password"] {
		t.Error("database_url does not go with the password")
	}
}

func TestInitMakesOnlyWhatIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plan := initIn(dir)
	plan.Only = []string{"postgres_password", "database_url"}
	if _, err := plan.Run(); err != nil {
		t.Fatal(err)
	}
	if all := contents(t, dir); len(all) != 2 || all["database_url"] == "" || all["postgres_password"] == "" {
		t.Errorf("%d files", len(all))
	}
	for _, only := range []string{"database_url", "admin_key"} {
		plan.Only = []string{only}
		if _, err := plan.Run(); err == nil {
			t.Errorf("only %s was accepted", only)
		}
	}
}

func TestInitRefusesAnEmptyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "encryption_key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := initIn(dir).Run(); err == nil {
		t.Error("an empty key was accepted")
	}
}

func TestEnsureKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	for range 2 {
		got, err := keys.Ensure(path, func() string { return keys.AdminKey() })
		if err != nil {
			t.Fatal(err)
		}
		if stored := contents(t, filepath.Dir(path))["key"]; stored != got+"\n" {
			t.Errorf("Ensure returned %q and the file holds %q", got, stored)
		}
	}
}
