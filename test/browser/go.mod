module billonce/test/browser

go 1.26.0

require (
	billonce v0.0.0
	github.com/chromedp/cdproto v0.159.3
	github.com/chromedp/chromedp v0.23.0
	github.com/jmoiron/sqlx v1.4.0
)

replace billonce => ../../
