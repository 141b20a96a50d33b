"""The driver that runs everywhere: the standard library's selectors and socket objects."""
