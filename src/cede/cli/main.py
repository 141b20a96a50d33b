"""The `cede` command: what it is told, and to whom it goes.

Heavy modules are imported by the subcommand that needs them, so that `cede --help` is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from cede._version import __version__

OVERVIEW = """\
cede runs asyncio programs on cede's own event loop, tasks and futures, unchanged.

examples:
  cede run server.py --port 8000       run a script, as `python server.py --port 8000` would
  cede run -m package arguments        run a module, as `python -m` would
  cede run -c "import asyncio; ..."    run a line of code
  cede info                            what is installed here, and how it was built
"""

RUN_OVERVIEW = """\
Runs a program as `python` would, with asyncio on cede: asyncio.run(), asyncio.Runner,
asyncio.new_event_loop() and whatever is built on them get cede's event loop, and
asyncio.Queue, Lock, TaskGroup, gather, open_connection and their kin are cede's. sys.argv,
sys.path, __main__, the exit status and tracebacks are what `python` would give.
Python children of the program are on cede too: workers, reloaded servers, process pools.
uvicorn, Gunicorn, Hypercorn and Granian need no option. A program that asks for a loop of
another kind gets that other kind; one line on standard error then says so.
"""

RUN_EXAMPLES = """\
Options of cede come before the program; what follows SCRIPT, -m MODULE or -c CODE
belongs to the program.

examples:
  cede run server.py --port 8000
  cede run --debug -m package.tool --verbose
  cede run --driver selector script.py
  python -X dev -W error -m cede run script.py     with Python's own options
"""


class Parser(argparse.ArgumentParser):
    """argparse, with the way to the help in each complaint."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> tuple[Parser, Parser]:
    """The whole parser, and that of `cede run` alone."""
    parser = Parser(prog="cede", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"cede {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)

    run = commands.add_parser(
        "run",
        help="run a script, a module or a line of code on cede",
        usage="cede run [--debug] [--driver NAME] [--fair[=N]] [--stock] [--no-children] (SCRIPT | - | -m MODULE | -c CODE) [ARGUMENT ...]",
        description=RUN_OVERVIEW,
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument(
        "--debug",
        action="store_true",
        help="start loops in asyncio's debug mode (sets PYTHONASYNCIODEBUG), and keep cede's own frames in tracebacks",
    )
    run.add_argument(
        "--driver",
        choices=("epoll", "selector"),
        help="how loops ask the kernel about I/O; by default epoll where it is built in (sets CEDE_DRIVER)",
    )
    run.add_argument(
        "--fair",
        nargs="?",
        const="on",
        metavar="N",
        help="make a task give way after 128 awaits, or --fair=N, that did not have to wait (sets CEDE_FAIR)",
    )
    run.add_argument(
        "--stock",
        action="store_true",
        help="leave asyncio's locks, queues, groups, streams and their kin as they are: the event loop alone is cede's",
    )
    run.add_argument(
        "--no-children",
        action="store_true",
        help="leave Python processes that the program starts as they are; without it they find cede by CEDE_RUN and PYTHONPATH",
    )
    target = run.add_argument_group("the program")
    # For the help only: the program's part of the command line is cut off before argparse sees it (split_program).
    target.add_argument("script", nargs="?", metavar="SCRIPT", help="a file, or a directory or zip file with a __main__.py; - reads stdin")
    target.add_argument("-m", dest="module", metavar="MODULE", help="a module or package, found as import would")
    target.add_argument("-c", dest="code", metavar="CODE", help="Python source text")

    info = commands.add_parser("info", help="what is installed here, and how it was built", allow_abbrev=False)
    info.add_argument("--json", action="store_true", help="the same as one JSON object")
    return parser, run


def split_program(args: Sequence[str], parser: Parser) -> tuple[list[str], str, str, list[str]]:
    """Cuts the words after `cede run` into (our options, kind, target, the program's arguments); kind is "script", "-m" or "-c"."""
    position = 0
    while position < len(args):
        word = args[position]
        if word[:2] in ("-m", "-c"):
            own, rest = list(args[:position]), list(args[position + 1 :])
            if len(word) > 2:  # -cCODE, as python takes it
                return own, word[:2], word[2:], rest
            if not rest:
                parser.error(f"argument {word}: expected {'a module name' if word == '-m' else 'Python code'}")
            return own, word, rest[0], rest[1:]
        if word == "--" and position + 1 < len(args):
            return list(args[:position]), "script", args[position + 1], list(args[position + 2 :])
        if word == "-" or not word.startswith("-"):
            return list(args[:position]), "script", word, list(args[position + 1 :])
        position += 2 if word == "--driver" else 1
    return list(args), "", "", []


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point of the `cede` command.

    argv -- the words after the command's name (default: those of this process)
    Returns the exit status; `cede run` ends as the program ends, which may be by an exception that passes through here.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser, run_parser = make_parser()
    if not words:
        parser.print_help(sys.stderr)
        return 2
    if words[0] == "run":
        own, kind, target, rest = split_program(words[1:], run_parser)
        options = run_parser.parse_args(own)
        if not kind:
            run_parser.error("nothing to run: give a script, - for stdin, -m MODULE or -c CODE")
        from cede.cli import run

        return run.run(
            kind,
            target,
            rest,
            debug=options.debug,
            driver=options.driver,
            fair=options.fair,
            stock=options.stock,
            alone=options.no_children,
        )
    options = parser.parse_args(words)
    if options.command is None:
        parser.error("expected a command: run or info")
    from cede.cli import info

    return info.show(as_json=options.json)
