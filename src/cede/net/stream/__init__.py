"""Stream transports: TCP and Unix sockets."""
