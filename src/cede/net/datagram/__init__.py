"""Datagram transports: UDP and Unix sockets."""
