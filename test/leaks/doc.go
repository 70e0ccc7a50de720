// Package leaks shows that nothing confidential gets where it does not belong: canaries of every kind (tokens, keys, client
// secrets, card numbers, customers' names and addresses, passwords) go through the real programs on every path that there
// is, and then everything that the programs wrote, keep, answered and show is searched for them, in every form in which
// they might hide.
//
// It has tests only. What is stored or shown on purpose, such as the parameters that a caller gives, is allowed field by
// field in places_test.go, and nowhere else. Another thing to be searched is one line in [world.sources]; another kind of
// secret is one line in newCanaries.
package leaks
