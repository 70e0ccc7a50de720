// Package proc runs the child processes of a development stack.
//
// It promises that a child ends with this program: by Stop, or, where the system offers a parent-death signal (Linux),
// even when this program is killed outright. Every child is waited for; none becomes a zombie. A child runs in a process
// group of its own unless asked otherwise, so that a Ctrl-C in the terminal reaches this program alone, which then stops
// its children in the order it wants.
//
// It never reads a child's output: that goes straight to a file or to this program's own streams.
package proc
