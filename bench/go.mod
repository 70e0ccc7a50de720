module billonce/bench

go 1.26.0

require (
	billonce v0.0.0
	github.com/lib/pq v1.12.3
)

replace billonce => ../
