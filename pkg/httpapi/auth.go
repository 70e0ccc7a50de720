package httpapi

import (
	"net/http"
	"strings"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// authenticate demands Authorization: Bearer with the admin key. It says no word about what was wrong with another key, and
// compares in a time that tells nothing.
func (s *Server) authenticate(request *http.Request) error {
	given := request.Header.Values("Authorization")
	if len(given) == 1 && !s.deps.AdminKey.Empty() {
		scheme, key, _ := strings.Cut(given[0], " ")
		if strings.EqualFold(scheme, "Bearer") && s.deps.AdminKey.Equal(secret.New(strings.TrimSpace(key))) {
			return nil
		}
	}
	return &billing.Error{Code: billing.CodeUnauthenticated}
}
