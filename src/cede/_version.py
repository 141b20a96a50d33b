"""The one place that knows cede's version."""

__version__ = "0.1.0"
