"""CPython's own tests, run against cede's tasks, futures and loop.

The tests are the ones that the running interpreter ships (``test.test_asyncio``): they are subclassed when this package is imported,
and no line of them is kept here. ``python -m tests.conformance --help`` runs them for several interpreters and prints a table;
pytest finds the same classes in the ``test_*.py`` modules. What is not expected to pass is in ``ledger.toml``, with its reason.
"""
