"""`python -m cede` is the `cede` command."""

import sys

from cede.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
