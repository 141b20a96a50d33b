"""The folder that `cede run` puts on PYTHONPATH for the Python children of a program (see `cede.cli.children`)."""
