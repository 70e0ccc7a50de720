package dev

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"billonce/pkg/secret"
)

// envelope is how a sealed token looks: a 12-byte IV, a 16-byte tag and the content, in lower-case hex.
var envelope = regexp.MustCompile(`^[0-9a-f]{24}:[0-9a-f]{32}:(?:[0-9a-f]{2})+$`)

// sealedToken is what the database holds in place of one token.
type sealedToken struct {
	merchant, column, stored string
}

// sealedTokens looks at the rows from outside, as a thief of a backup would, and returns what is stored. A token that is
// in clear, or not sealed as agreed, is an error that does not repeat it.
func sealedTokens(ctx context.Context, url secret.Text, tokens []string) (found []sealedToken, err error) {
	db, err := sql.Open("postgres", url.Reveal())
	if err != nil {
		return nil, errors.New("look at the stored tokens: the database's URL cannot be read")
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, `
		SELECT name, 'access_token', access_token FROM merchants WHERE access_token IS NOT NULL
		UNION ALL
		SELECT name, 'refresh_token', refresh_token FROM merchants WHERE refresh_token IS NOT NULL
		ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("look at the stored tokens: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var one sealedToken
		if err := rows.Scan(&one.merchant, &one.column, &one.stored); err != nil {
			return nil, fmt.Errorf("look at the stored tokens: %w", err)
		}
		for _, token := range tokens {
			if strings.Contains(one.stored, token) {
				return nil, fmt.Errorf("the %s of %s is in clear in the database", one.column, one.merchant)
			}
		}
		if !envelope.MatchString(one.stored) {
			return nil, fmt.Errorf("the %s of %s is not sealed as iv:authTag:encryptedContent", one.column, one.merchant)
		}
		found = append(found, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look at the stored tokens: %w", err)
	}
	return found, nil
}
