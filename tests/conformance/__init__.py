"""Other people's tests, run on cede.

``python -m tests.conformance`` runs CPython's ``test.test_asyncio`` with cede in asyncio's place, and uvloop's and AnyIO's own suites, a
module a process (`supervise`, `worker`), and tells what became of each test after it asked the suite's ledger. No line of those suites is
kept here: one comes with the interpreter, the others are fetched by name. Each is run both ways: on cede's loop alone, and with asyncio's
names on cede's, from the start of its processes, as `cede run` has them.

CPython's Task and Future tests are run in another way as well: subclassed when this package is imported, with cede's classes in them one
by one (`plan`, `suites`). pytest finds these classes in the ``test_*.py`` modules.
"""
