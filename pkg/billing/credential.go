package billing

import "billonce/pkg/secret"

// Credential is as whom a task is sent.
type Credential struct {
	Auth    AuthMode
	Token   secret.Text // the merchant's access token under AuthToken; empty under AuthPlatform
	Account string      // "acct_…"
}
