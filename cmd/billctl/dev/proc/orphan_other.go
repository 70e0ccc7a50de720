//go:build !linux

package proc

import "syscall"

// setOrphanSignal does nothing: this system has no parent-death signal. A database left behind is found and stopped by the
// next start.
func setOrphanSignal(*syscall.SysProcAttr, syscall.Signal) {}
