package cli

import (
	"github.com/spf13/cobra"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const merchantsPath = "/v1/merchants"

func (p *program) merchants() *cobra.Command {
	return group("merchants", "Connect merchants, look at them, hold their tasks and let them go on",
		p.merchantsList(), p.merchantsShow(), p.merchantsCreate(), p.merchantsUpdate(),
		p.merchantChange("pause", "Hold merchants' tasks where they are"),
		p.merchantChange("resume", "Let paused merchants' tasks go on"), p.merchantsDisconnect())
}

func (p *program) merchantsList() *cobra.Command {
	command := &cobra.Command{Use: "list", Short: "List merchants, newest first", Args: exactly(0, "no arguments")}
	filters := map[string]*string{
		"stripe_connect_id": command.Flags().String("account", "", "only the one with this Stripe account, as acct_…"),
		"status":            command.Flags().String("status", "", "only those in this status: "+join(billing.MerchantStatuses())),
	}
	fixedCompletion(command, "status", billing.MerchantStatuses())
	return p.list(command, merchantsPath, given(filters), p.merchantColumns())
}

func (p *program) merchantColumns() columns {
	heading := []string{"ID", "NAME", "ACCOUNT", "MODE", "STATUS", "SERVED WITH", "CREATED"}
	return column(heading, func(merchant client.Merchant) []string {
		return []string{
			merchant.ID, merchant.Name, merchant.StripeConnectID, mode(merchant), merchantStatus(merchant), servedWith(merchant),
			p.when(merchant.CreatedAt),
		}
	})
}

func (p *program) merchantsShow() *cobra.Command {
	command := &cobra.Command{Use: "show ID", Short: "Show one merchant", Args: exactly(1, "the id of one merchant")}
	return showOne(p, command, merchantsPath, p.merchantColumns(), func(merchant client.Merchant) {
		rows := [][]string{
			{"id", merchant.ID},
			{"name", merchant.Name},
			{"account", merchant.StripeConnectID},
			{"mode", mode(merchant)},
			{"status", merchantStatus(merchant)},
		}
		if detail := dereference(merchant.PauseDetail); detail != "" {
			rows = append(rows, []string{"", detail})
		}
		p.table(append(rows, []string{"served with", servedWith(merchant)}, []string{"created", p.when(merchant.CreatedAt)},
			[]string{"updated", p.when(merchant.UpdatedAt)}))
	})
}

func mode(merchant client.Merchant) string {
	if merchant.Livemode {
		return "live"
	}
	return "test"
}

func merchantStatus(merchant client.Merchant) string {
	if reason := dereference(merchant.PauseReason); reason != "" {
		return string(merchant.Status) + " (" + reason + ")"
	}
	return string(merchant.Status)
}

func servedWith(merchant client.Merchant) string {
	if merchant.Status == billing.MerchantDisconnected {
		return "nothing"
	}
	if merchant.HasAccessToken {
		return "its own token"
	}
	return "the platform's key"
}
