package console

import "regexp"

// account is at which of Stripe's accounts something is.
type account struct {
	ID   string
	Live bool
}

const dashboard = "https://dashboard.stripe.com/"

var (
	accountShape = regexp.MustCompile(`^acct_[A-Za-z0-9_]+$`)
	requestShape = regexp.MustCompile(`^req_[A-Za-z0-9]+$`)
	objectShape  = regexp.MustCompile(`^([a-z]+(?:_sched)?)_[A-Za-z0-9_]+$`)
)

// sections are where the dashboard shows objects, by the beginning of their ids. Others it finds by its search.
var sections = map[string]string{
	"in": "invoices", "sub": "subscriptions", "pi": "payments", "ch": "payments", "cus": "customers", "sub_sched": "subscription_schedules",
	"cn": "credit_notes", "po": "payouts", "tr": "connect/transfers", "evt": "events", "prod": "products",
}

func (a account) root() string {
	if !accountShape.MatchString(a.ID) {
		return ""
	}
	root := dashboard + a.ID + "/"
	if !a.Live {
		root += "test/"
	}
	return root
}

// stripeLink is where Stripe's dashboard shows an object of an account, "" where that cannot be told.
func stripeLink(at account, id any) string {
	shape := objectShape.FindStringSubmatch(text(id))
	root := at.root()
	if shape == nil || root == "" {
		return ""
	}
	if section, known := sections[shape[1]]; known {
		return root + section + "/" + shape[0]
	}
	return root + "search?query=" + shape[0]
}

// requestLink is where the dashboard shows a request, "" where that cannot be told.
func requestLink(at account, id any) string {
	root := at.root()
	if root == "" || !requestShape.MatchString(text(id)) {
		return ""
	}
	return root + "logs/" + text(id)
}
