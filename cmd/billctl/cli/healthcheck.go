package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) healthcheck() *cobra.Command {
	command := &cobra.Command{
		Use: "healthcheck URL", Short: "Exit 0 if the URL answers 2xx, else 1; for images without a shell",
		Args: exactly(1, "one URL"),
	}
	timeout := command.Flags().Duration("timeout", 3*time.Second, "how long to wait for the answer")
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(command.Context(), *timeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], http.NoBody)
		if err != nil || request.URL.Host == "" {
			return usageError{errors.New("that is not an http URL")}
		}
		probe := &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy: the service is next door
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		answer, err := probe.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode < 200 || answer.StatusCode > 299 {
			return fmt.Errorf("%s answers %s", args[0], answer.Status)
		}
		return nil
	}
	return command
}
