// Package operator names, for the audit log, the person who runs billctl. It promises no proof: what the system says is believed.
package operator

import (
	"os"
	"os/user"

	"billonce/pkg/billing"
)

// Actor is who runs this program and where, as far as the system says.
func Actor() billing.Actor {
	actor := billing.Actor{ID: billing.ActorBillctl}
	if who, err := user.Current(); err == nil {
		actor.Name = who.Username
	}
	if host, err := os.Hostname(); err == nil {
		actor.Address = host
	}
	return actor
}
