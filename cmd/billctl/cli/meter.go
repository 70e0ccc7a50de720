package cli

import (
	"github.com/mattn/go-isatty"

	"billonce/cmd/billctl/progress"
)

// meter shows how far a piece of work is, where people look for it: beside the result, not in it.
func (p *program) meter(quiet bool, words progress.Words) progress.Meter {
	switch {
	case quiet:
		return progress.Quiet{}
	case p.Err != nil && isatty.IsTerminal(p.Err.Fd()):
		return progress.NewBar(p.err, words)
	default:
		return progress.NewLines(p.err, p.Now, words)
	}
}
