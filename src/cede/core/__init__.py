"""The kernel: futures, tasks, handles, timers and the turn. No I/O, no thread of its own, and no clock but the one it is given."""

from cede.core.interpreters import refuse_where_compiled

refuse_where_compiled()  # before the first compiled module is loaded
