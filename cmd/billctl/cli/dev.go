package cli

import "github.com/spf13/cobra"

func (p *program) dev() *cobra.Command {
	return group("dev", "dev")
}
