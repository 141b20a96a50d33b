"""What came of the matrix, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD = ("Python", "suite", "passed", "failed", "ledger", "unsteady", "seconds")


@dataclass
class Row:
    """One suite on one Python. `listed` counts what fails as a ledger says, `unsteady` names what passed only when it was run again."""

    python: str
    suite: str
    passed: int = 0
    failed: int = 0
    listed: int = 0
    unsteady: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""


def table(rows: list[Row]) -> str:
    lines = [list(HEAD)]
    before = ""
    for row in rows:
        python = row.python if row.python != before else ""
        before = row.python
        counts = [row.passed, row.failed, row.listed, len(row.unsteady)]
        silent = row.note and not any(counts)
        cells = [row.note, *[""] * 4] if silent else [*map(str, counts), f"{row.seconds:.0f}"]
        lines.append([python, row.suite, *cells])
    # a note stands in the place of all figures, and may be as long as it likes
    widths = [max(len(line[place]) for line in lines if place != 2 or line[3]) for place in range(len(HEAD))]

    def text(line: list[str]) -> str:
        left = f"{line[0].ljust(widths[0])}  {line[1].ljust(widths[1])}"
        if not line[3]:
            return f"{left}  {line[2]}".rstrip()
        return "  ".join([left, *(cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True))])

    head, *body = map(text, lines)
    return "\n".join([head, "-" * len(head), *body])


def notes(rows: list[Row]) -> list[str]:
    told = [f"Python {row.python}, {row.suite}: {row.note}" for row in rows if row.note and (row.passed or row.failed)]
    told += [f"unsteady on Python {row.python}: {name} failed, and passed when it was run again" for row in rows for name in row.unsteady]
    return told
