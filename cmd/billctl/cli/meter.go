package cli

import "billonce/cmd/billctl/progress"

// meter shows how far a piece of work is, where people look for it: beside the result, not in it.
func (p *program) meter(words progress.Words) progress.Meter {
	switch {
	case p.quiet:
		return progress.Quiet{}
	case p.terminal(p.Err):
		return progress.NewBar(p.err, words)
	default:
		return progress.NewLines(p.err, p.Now, words)
	}
}
