"""TLS over any stream transport."""
