"""What the terminal gets: a progress line and the tables, with rich where it is installed and somebody looks on."""

from __future__ import annotations

import importlib
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.report import Table


def rich_console() -> Any:
    """A rich console on a terminal that has rich; None otherwise."""
    if not sys.stdout.isatty():
        return None
    try:
        return importlib.import_module("rich.console").Console()
    except ImportError:
        return None


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line each ten seconds."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.began = time.monotonic()
        self.told = 0.0

    def __call__(self, done: int, total: int, what: str) -> None:
        """Measurement `done` of `total` begins."""
        spent = time.monotonic() - self.began
        left = spent / max(done - 1, 1) * (total - done + 1)
        line = f"[{done}/{total}] {what}" + (f", about {left:.0f} s left" if done > 5 else "")
        if self.terminal:
            print(f"\r\x1b[K{line[:118]}", end="", file=sys.stderr, flush=True)
        elif done == 1 or done == total or spent - self.told >= 10:
            self.told = spent
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line."""
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def plain(table: Table) -> str:
    """Columns padded to one width each, the first to the left."""
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = []
    for line in table:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def show(sections: list[tuple[str, Table]], notes: list[str]) -> None:
    """Print the tables and the notes."""
    console = rich_console()
    for title, (head, *rest) in sections:
        clean = [[cell.replace("`", "").replace("**", "") for cell in line] for line in rest]
        if console is None:
            print(f"\n{title}\n\n{plain([head, *clean])}")
            continue
        table = importlib.import_module("rich.table").Table(title=title, title_justify="left")
        for i, name in enumerate(head):
            table.add_column(name, justify="left" if i == 0 else "right")
        for line in clean:
            table.add_row(*line, style="red" if "no" in line else None)
        console.print(table)
    print()
    for note in notes:
        print(f"- {note}")
