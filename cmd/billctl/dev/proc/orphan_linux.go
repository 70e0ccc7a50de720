package proc

import "syscall"

// setOrphanSignal asks the kernel to send sig to the child when the thread that started it ends.
func setOrphanSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
