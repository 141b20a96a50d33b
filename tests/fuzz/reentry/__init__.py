"""User code in every place where it can run, doing what it should not do there: programs drawn by a seed, each played in a child process.

``python -m tests.fuzz.reentry --help``
"""
