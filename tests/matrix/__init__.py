"""Every Python at hand: cede is built there, its own suite is run, and other people's suites after it.

``python -m tests.matrix`` (`__main__`) looks for the interpreters (`pythons`), does what is to be done on each (`steps`), and prints what
came of it (`report`). It needs nothing but Python and make; what it makes is in ``.venv-3.12`` and the like, and in ``build/matrix``.
"""
