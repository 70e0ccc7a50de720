package cli

import "github.com/spf13/cobra"

// completeContexts offers the names of contexts to the shell wherever --context is a flag.
func (p *program) completeContexts(command *cobra.Command) {
	if command.Flags().Lookup("context") != nil {
		// The only error is a flag that the command does not have.
		_ = command.RegisterFlagCompletionFunc("context", func(command *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return p.completeContext(command, nil, typed)
		})
	}
	for _, below := range command.Commands() {
		p.completeContexts(below)
	}
}
