package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDependenciesHaveAcceptedLicences is the half of `make audit` that needs no network.
func TestDependenciesHaveAcceptedLicences(t *testing.T) {
	t.Parallel()
	if found, err := licences(t.Context(), "../.."); err != nil || found < 20 {
		t.Errorf("%d modules: %v", found, err)
	}
}

func TestLicencesAreTold(t *testing.T) {
	t.Parallel()
	const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software … The above copyright notice and this\npermission notice shall be included in all copies"
	const bsd = "Redistribution and use in source and binary forms, with or without … * Redistributions in binary form must reproduce the above copyright notice"
	for text, want := range map[string]string{
		"": "", "All rights reserved.": "", "Do what you like.": "", mit: "MIT", strings.ToUpper(mit): "MIT", bsd: "BSD-2-Clause",
		bsd + " … nor the names of its contributors may be used to endorse or promote products": "BSD-3-Clause",
		"GNU GENERAL PUBLIC LICENSE Version 3":                                                  "GPL",
		"GNU LESSER GENERAL\n PUBLIC LICENSE":                                                   "LGPL",
		"GNU AFFERO GENERAL PUBLIC LICENSE":                                                     "AGPL",
		mit + "\nGNU General Public License":                                                    "GPL",
		"\"Commons Clause\" License Condition v1.0 " + mit:                                      "Commons-Clause",
		"Mozilla Public License, version 2.0":                                                   "MPL-2.0",
		"Business Source License 1.1":                                                           "BUSL",
	} {
		if got := identify(text); got != want {
			t.Errorf("%.60q is told as %q, want %q", text, got, want)
		}
	}
}

func TestWhatIsNotAcceptedIsNamed(t *testing.T) {
	t.Parallel()
	accepted, listed, err := readList("accept MIT # a comment\n\nexample.com/a MIT\nexample.com/b ISC\n")
	if err != nil {
		t.Fatal(err)
	}
	for path, tc := range map[string]struct{ found, want string }{
		"example.com/a": {"MIT", ""},
		"example.com/b": {"MIT", "was ISC, and is now MIT"},
		"example.com/c": {"MIT", "not in the list"},
		"example.com/d": {"GPL", "GPL is not accepted"},
		"example.com/e": {"", "none that is known"},
	} {
		err := judge(path, tc.found, accepted, listed)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, wrong := range []string{"accept", "a b c", "a MIT\na MIT"} {
		if _, _, err := readList(wrong); err == nil {
			t.Errorf("the list %q is accepted", wrong)
		}
	}
}

// TestAnUnreadDatabaseIsNoSuccess is about the exit code: who cannot look must not say that there is nothing.
func TestAnUnreadDatabaseIsNoSuccess(t *testing.T) {
	t.Parallel()
	broken := t.TempDir()
	if err := os.MkdirAll(filepath.Join(broken, "index"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "index", "db.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{filepath.Join(t.TempDir(), "none"), broken, "file://" + filepath.ToSlash(broken), "https://127.0.0.1:1", "ftp://x", "http://127.0.0.1:1"} {
		var out, errs bytes.Buffer
		if code := run([]string{"-root", "../..", "-db", database}, &out, &errs); code != exitUnchecked || !strings.Contains(errs.String(), "NOT CHECKED") {
			t.Errorf("%s: exit code %d: %s%s", database, code, &out, &errs)
		}
	}
	if code := run([]string{"-nonsense"}, &bytes.Buffer{}, &bytes.Buffer{}); code != exitUsage {
		t.Errorf("a wrong argument: exit code %d", code)
	}
}
