// Package deploy holds the tests of how billonce is shipped: that no container has more rights than it needs. It has tests only.
// They read the files of the tree and start nothing; `make compose-test` starts the containers.
package deploy
