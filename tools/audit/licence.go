package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// allowList names the licences that are accepted, and each dependency with the one that it has.
//
//go:embed allowed.txt
var allowList string

// module is a dependency, and where the module cache has it.
type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *module
}

// licences compares every module that any package or test of the tree is built with to the list, and returns how many there are.
func licences(ctx context.Context, root string) (int, error) {
	accepted, listed, err := readList(allowList)
	if err != nil {
		return 0, err
	}
	modules, err := dependencies(ctx, root)
	if err != nil {
		return 0, err
	}
	var faults []error
	for _, one := range modules {
		text, err := licenceText(one.Dir)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %s: %w", one.Path, one.Version, err))
			continue
		}
		if err := judge(one.Path, identify(text), accepted, listed); err != nil {
			faults = append(faults, err)
		}
		delete(listed, one.Path)
	}
	for path := range listed {
		faults = append(faults, fmt.Errorf("%s is in the list, and nothing depends on it any more", path))
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return len(modules), errors.Join(faults...)
}

// judge returns nil for a dependency whose licence is the listed one, and accepted.
func judge(path, found string, accepted map[string]bool, listed map[string]string) error {
	want, known := listed[path]
	switch {
	case found == "":
		return fmt.Errorf("%s: its licence is none that is known here; read it", path)
	case !accepted[found]:
		return fmt.Errorf("%s: its licence %s is not accepted", path, found)
	case !known:
		return fmt.Errorf("%s: is not in the list; it would be added as: %s %s", path, path, found)
	case want != found:
		return fmt.Errorf("%s: its licence was %s, and is now %s", path, want, found)
	}
	return nil
}

// readList reads lines of "accept LICENCE" and "MODULE LICENCE".
func readList(text string) (accepted map[string]bool, listed map[string]string, err error) {
	accepted, listed = map[string]bool{}, map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case len(fields) != 2:
			return nil, nil, fmt.Errorf("line %d of the list has not two words", number)
		case fields[0] == "accept":
			accepted[fields[1]] = true
		case listed[fields[0]] != "":
			return nil, nil, fmt.Errorf("%s is in the list twice", fields[0])
		default:
			listed[fields[0]] = fields[1]
		}
	}
	return accepted, listed, lines.Err()
}

// dependencies returns the modules that the packages of a tree and their tests are built with.
func dependencies(ctx context.Context, root string) ([]module, error) {
	command := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "-json=Module", "./...")
	command.Dir = root
	var errs bytes.Buffer
	command.Stderr = &errs
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, errs.Bytes())
	}
	var modules []module
	seen := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var of struct{ Module *module }
		if err := decoder.Decode(&of); errors.Is(err, io.EOF) {
			return modules, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if of.Module == nil || of.Module.Main || seen[of.Module.Path] {
			continue
		}
		seen[of.Module.Path] = true
		if of.Module.Replace != nil {
			of.Module.Dir = of.Module.Replace.Dir
		}
		modules = append(modules, *of.Module)
	}
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)

// licenceText returns all files of a module's folder that are named as licences are.
func licenceText(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("not in the module cache, run go mod download: %w", err)
	}
	var all strings.Builder
	for _, entry := range entries {
		if entry.IsDir() || !licenceFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name())) //nolint:gosec // a file of the module cache
		if err != nil {
			return "", err
		}
		all.Write(append(text, '\n'))
	}
	if all.Len() == 0 {
		return "", errors.New("has no licence file")
	}
	return all.String(), nil
}

// signs are sentences that each licence has and no other one, the more particular licence before the more general. The strict ones
// come first, so that a file with two licences goes by the one that asks for more.
var signs = []struct {
	name      string
	sentences []string
}{
	{"AGPL", []string{"gnu affero general public license"}},
	{"LGPL", []string{"gnu lesser general public license"}},
	{"GPL", []string{"gnu general public license"}},
	{"SSPL", []string{"server side public license"}},
	{"BUSL", []string{"business source license"}},
	{"Commons-Clause", []string{"commons clause"}},
	{"Elastic", []string{"elastic license"}},
	{"EPL", []string{"eclipse public license"}},
	{"CC", []string{"creative commons"}},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0"}},
	{"Apache-2.0", []string{"apache license", "version 2.0, january 2004", "grant of patent license"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "may be used to endorse or promote products"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "redistributions in binary form must reproduce the above copyright"}},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy", "the above copyright notice and this permission notice shall be included"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"}},
}

var space = regexp.MustCompile(`[\s*/#]+`)

// identify returns the name of a licence, "" when the text is none that is known.
func identify(text string) string {
	text = space.ReplaceAllString(strings.ToLower(text), " ")
	for _, licence := range signs {
		if !slices.ContainsFunc(licence.sentences, func(sentence string) bool { return !strings.Contains(text, sentence) }) {
			return licence.name
		}
	}
	return ""
}
