"""Nothing may be left behind: no object after a task, no reference after a test."""
