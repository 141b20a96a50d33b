"""The kernel: futures, tasks, handles, timers and the turn. No I/O, no thread of its own, and no clock but the one it is given."""
