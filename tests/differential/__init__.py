"""Random programs, on asyncio and on cede: the same program has to write the same log. ``python -m tests.differential --help``."""
