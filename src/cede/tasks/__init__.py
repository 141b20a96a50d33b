"""Several coroutines at once: groups, time limits, scopes, and what waits for them."""
