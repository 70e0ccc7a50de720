package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of billctl.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
	ExitRefused = 3
	ExitConfig  = 78 // EX_CONFIG of sysexits(3)
)

// exitMeanings says what each exit code means; it is the only place that does.
func exitMeanings() []struct {
	Code    int
	Meaning string
} {
	return []struct {
		Code    int
		Meaning string
	}{
		{ExitOK, "it is done, or what was asked is so. A command with --watch that Ctrl-C has ended is done"},
		{ExitFailure, "it could not be done: the API or the database refused it or could not be reached, it was not confirmed, or a check of doctor failed"},
		{ExitUsage, "the call is wrong: a command, a flag or an argument. Nothing was done"},
		{ExitRefused, "stored tokens do not open (keys rotate, keys verify); all else is done"},
		{ExitConfig, "a setting is missing or wrong: a variable, a file that it names, a context, or a key that does not fit the database. Nothing was done"},
	}
}

// exitCodes is a topic of the help.
func exitCodes() *cobra.Command {
	var text strings.Builder
	text.WriteString("What the exit code of every command means:\n\n")
	for _, one := range exitMeanings() {
		fmt.Fprintf(&text, "  %-3d %s\n", one.Code, one.Meaning)
	}
	text.WriteString("\nbillctl dev exec alone ends with the code of the command that it runs.")
	return &cobra.Command{
		Use: "exit-codes", Short: "What the exit codes mean", Long: text.String(),
	}
}
