"""Transports over the ends of pipes, FIFOs and terminals."""
