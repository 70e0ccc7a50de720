// Package postgres brings up a private PostgreSQL for development and tests.
//
// It promises a server that listens on 127.0.0.1 and on a socket folder of its own, on a port that was free, with a random
// password; that runs as an unprivileged user when this program is root; that is ready when Start returns; and that does not
// outlive this program: Stop ends it, the system does where this program is killed, and the next Start ends what is
// left where the system cannot. It finds PostgreSQL 14 or newer on PATH or in the usual folders, and installs it when it may.
//
// It never touches a cluster that it has not made, and never listens beyond loopback.
package postgres
