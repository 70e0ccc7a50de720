package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMajor(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]int{
		"postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 9.6.24":                           9,
		"postgres (PostgreSQL) 18beta1":                          18,
	} {
		if got, err := parseMajor(output); err != nil || got != want {
			t.Errorf("parseMajor(%q) = %d, %v, want %d", output, got, err, want)
		}
	}
	if _, err := parseMajor("something else"); err == nil {
		t.Error("parseMajor accepts what is no version")
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	found := []installation{{"/path", 13}, {"/newest", 17}, {"/older", 15}}
	for _, tc := range []struct {
		name       string
		candidates []installation
		wanted     int
		want       string // "" for none
	}{
		{"the first that is new enough", found, 0, "/newest"},
		{"the one the data was made with", found, 15, "/older"},
		{"an old one only for old data", found, 13, "/path"},
		{"none of the wanted version", found, 16, ""},
		{"only too old ones", found[:1], 0, ""},
		{"none at all", nil, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := choose(tc.candidates, tc.wanted)
			if got.folder != tc.want || (err != nil) != (tc.want == "") {
				t.Errorf("choose() = %+v, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestWithoutMainCluster(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ before, during string }{
		"a commented setting": {"a = 1\n#create_main_cluster = true\nb = 2\n", "a = 1\ncreate_main_cluster = false\nb = 2\n"},
		"a set one":           {"create_main_cluster=true\n", "create_main_cluster = false\n"},
		"none":                {"a = 1", "a = 1\ncreate_main_cluster = false\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "createcluster.conf")
			if err := os.WriteFile(path, []byte(tc.before), 0o600); err != nil {
				t.Fatal(err)
			}
			restore, err := withoutMainCluster(path)
			if err != nil {
				t.Fatal(err)
			}
			during, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.during, string(during)); diff != "" {
				t.Error(diff)
			}
			if err := restore(); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.before, string(after)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDebianIsRecognized(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"NAME=\"Debian GNU/Linux\"\nID=debian\n":    true,
		"ID=ubuntu\nID_LIKE=debian\n":               true,
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n": true,
		"ID=fedora\n":                            false,
		"ID=arch\nHOME_URL=https://debian.org\n": false,
	} {
		if got := debianPattern.MatchString(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

func TestInstallKeepsThePackageFromCreatingACluster(t *testing.T) {
	dir := t.TempDir()
	conf, calls := filepath.Join(dir, "createcluster.conf"), filepath.Join(dir, "calls")
	// A stand-in for apt-get that notes what it was asked and what the setting was at that moment.
	script := "#!/bin/sh\necho \"$DEBIAN_FRONTEND $* [$(cat " + conf + ")]\" >>" + calls + "\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("#create_main_cluster = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := install(t.Context(), t.Output(), conf); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	want := `noninteractive -q update [#create_main_cluster = true]
noninteractive -q install -y --no-install-recommends postgresql-common [#create_main_cluster = true]
noninteractive -q install -y --no-install-recommends postgresql [create_main_cluster = false]
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	after, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if string(after) != "#create_main_cluster = true\n" {
		t.Errorf("the setting is left as %q", after)
	}
}
