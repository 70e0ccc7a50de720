// Package docs holds the tests of what is written for people: that links lead somewhere, that decisions keep their numbers, that what a
// page names is there, and that no block of commands is there which nobody runs. It has tests only, and starts nothing; the sessions are run in pkg/app, and the
// calls of billctl are held against the program in cmd/billctl/cli.
package docs
