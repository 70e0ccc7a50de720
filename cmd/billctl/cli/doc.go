// Package cli is the billctl command: its words, flags, output and exit codes.
//
// It promises that results go to standard output and everything else to standard error; that --json prints the API's own
// JSON; and that the exit code tells a wrong call (2) and a wrong configuration (78) from a failure (1). Keys come from the
// environment or from files, never from a flag, where every user of the machine could read them.
package cli
