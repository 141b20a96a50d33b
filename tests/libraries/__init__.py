"""The libraries that people run, unmodified, on cede: each test runs the real thing on loopback, on asyncio as the oracle and on cede.

A library that is not installed is skipped by name (`wheels` says why it is not); tests of Redis and PostgreSQL run against real ones
(`services`), and are skipped by name where there are none.
"""
