// Command audit looks at what billonce is made of: whether each dependency has a licence that this project accepts, and whether
// a vulnerability is known of it.
//
// It promises to say so when it could not look: without the vulnerability database its exit code is neither success nor the one
// of a finding. The licences are read from the module cache, without a network.
//
//	0   both were looked at, and nothing was found
//	1   a licence is not accepted, a dependency is not in the list, or something broke
//	2   an argument is not known
//	3   a vulnerability is known that the program can reach
//	75  the vulnerability database could not be read: nothing is known about vulnerabilities; the licences are in order
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitFinding   = 1
	exitUsage     = 2
	exitKnown     = 3
	exitUnchecked = 75 // EX_TEMPFAIL of sysexits(3)
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	flags.SetOutput(errs)
	root := flags.String("root", ".", "the folder of the module")
	only := flags.Bool("licences", false, "look at the licences alone")
	database := flags.String("db", os.Getenv("GOVULNDB"), "vulnerability database: an https or file URL, or a folder; GOVULNDB by default")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	found, err := licences(ctx, *root)
	if err != nil {
		_, _ = fmt.Fprintf(errs, "licences: %v\n", err)
		return exitFinding
	}
	_, _ = fmt.Fprintf(out, "licences: %d modules, each with one that is accepted\n", found)
	if *only {
		return 0
	}
	err = vulnerabilities(ctx, *root, *database, out, errs)
	switch unread := (*unreadError)(nil); {
	case err == nil:
		return 0
	case errors.As(err, &unread):
		_, _ = fmt.Fprintf(errs, "vulnerabilities: NOT CHECKED: %v\n"+
			"Nothing is known about vulnerabilities. Where there is no network, copy the database's folder here and name it: GOVULNDB=/path make audit\n", err)
		return exitUnchecked
	case errors.Is(err, errKnown):
		_, _ = fmt.Fprintln(errs, "vulnerabilities: FOUND, see above")
		return exitKnown
	}
	_, _ = fmt.Fprintf(errs, "vulnerabilities: %v\n", err)
	return exitFinding
}
