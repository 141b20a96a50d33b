"""The threads of a loop's default executor."""
