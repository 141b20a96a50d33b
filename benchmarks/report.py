"""The results as a Markdown page and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks import http_rows
from benchmarks.harness import left_out
from benchmarks.loops import BARE, LOOPS, OURS, OWN, label
from benchmarks.machine import facts
from benchmarks.net_rows import CONNECTIONS, SIZE
from benchmarks.usertime import HERTZ
from benchmarks.verdict import Verdict, judge

if TYPE_CHECKING:
    from benchmarks.harness import Cell, Run
    from benchmarks.rows import Metric, Row

Table = list[list[str]]
"""Rows of cells; the first is the head."""


def number(value: float | None, metric: Metric) -> str:
    """A figure as the tables show it."""
    return "–" if value is None else f"{value:,.{metric.digits}f}"


def brief(note: str, room: int = 60) -> str:
    """A note cut to what a table bears; the notes below the tables have the whole of it."""
    return note if len(note) <= room else note[: room - 3].rstrip() + "..."


def with_spread(cell: Cell, metric: Metric) -> str:
    """Median and range, or why there is none."""
    spread = cell.spread(metric.key)
    if spread is None:
        return brief(cell.note) or "–"
    text = number(spread.median, metric)
    if len(cell.samples) > 1:
        text += f" ({number(spread.least, metric)}–{number(spread.greatest, metric)})"
    return text + (" *" if cell.failures else "") + (" ~" if cell.disturbed * 2 > len(cell.samples) else "")


def versions(run: Run) -> Table:
    """Every known loop and what became of it."""
    table = [["loop", "version"]]
    for each in run.installed:
        kind = f", {'uncompiled' if each.pure else 'compiled'}, {each.driver}" if each.name == OURS else ""
        table.append([each.name, f"{each.version}{kind}" if each.ok else each.state])
    return table


def targets(lines: list[Verdict]) -> Table:
    """The comparison with the best peer."""
    bare = any(line.bare is not None for line in lines)
    table = [["row", "cede", "best peer, or limit", "ratio", "target", "met", *(["no loop"] if bare else [])]]
    for line in lines:
        unit = line.metric.unit
        ours = "not measured" if line.ours is None else f"{number(line.ours, line.metric)} {unit}"
        theirs = f"{label(line.against)} {number(line.theirs, line.metric)} {unit}" if line.against else "–"
        ratio = "–" if line.ratio is None else f"{line.ratio:.2f}x"
        met = "–" if line.met is None else "yes" if line.met else "**no**"
        title = line.row.title
        if line.contestant == OWN:
            title += ", under `cede run`" if line.row.kind == "http" else ", own API"
        if line.row.kind == "net":
            title = f"echo, {title}: {line.metric.title}"
        elif line.row.kind == "http":
            title += f": {line.metric.title}"
        table.append([title, ours, theirs, ratio, line.target.text if line.target else "–", met])
        if bare:
            table[-1].append("" if line.bare is None else f"{number(line.bare, line.metric)} {unit}")
    return table


def figures(run: Run, rows: list[Row]) -> Table:
    """Rows down, loops across."""
    names = [name for name in (*LOOPS, OWN, BARE) if any(name in run.results[row.key] for row in rows)]
    mixed = len({row.metric for row in rows}) > 1
    table = [["", *(["unit"] if mixed else []), *(label(name) for name in names)]]
    for row in rows:
        cells = run.results[row.key]
        unit = [row.metric.unit] if mixed else []
        table.append([row.title, *unit, *(with_spread(cells[name], row.metric) if name in cells else "" for name in names)])
    return table


NET_COLUMNS = (
    ("per s of server CPU", "capacity", 0, 1),
    ("user CPU us", "user_us", 2, 1),
    ("system CPU us", "system_us", 2, 1),
    ("p50 us", "p50_us", 0, 1),
    ("p99 us", "p99_us", 0, 1),
    ("server busy %", "server_busy", 0, 100),
    ("client busy %", "client_busy", 0, 100),
)


def network(run: Run, row: Row) -> Table:
    """One way of serving: loops down, figures across."""
    table = [["", "requests/s", *(title for title, *_ in NET_COLUMNS)]]
    for name, cell in run.results[row.key].items():
        if not cell.samples:
            table.append([label(name, row.kind), brief(cell.note)] + [""] * len(NET_COLUMNS))
            continue
        line = [label(name, row.kind), with_spread(cell, row.metric)]
        for _, key, digits, factor in NET_COLUMNS:
            spread = cell.spread(key)
            line.append("–" if spread is None else f"{spread.median * factor:,.{digits}f}")
        spread = cell.spread("user_us")
        if spread and len(cell.samples) > 1:
            line[3] += f" ({spread.least:.2f}–{spread.greatest:.2f})"
        table.append(line)
    return table


def notes(run: Run) -> list[str]:
    """What a reader should know before trusting a figure."""
    rounds = f"{run.rounds_done} rounds in {run.seconds:.0f} s"
    if run.rounds_done < run.settings.rounds:
        rounds += f" (of {run.settings.rounds} that were planned: the time was up)"
    said = [
        f"{rounds}, each measurement in a process of its own, the loops in turn within each row.",
        "Figures are medians with (least–greatest); ratios are ratios of medians.",
    ]
    cells = [(row, name, cell) for row in run.rows for name, cell in run.results[row.key].items()]
    if run.worst_pace:
        said.append(
            f"The machine took {run.best_pace:.0f} us at best and {run.worst_pace:.0f} us at worst "
            "for one fixed piece of work during the run."
        )
    said.append(
        f"The load of the machine, over five minutes: {run.load[0]:.1f} before the run, {run.load[1]:.1f} at its end, the run included."
    )
    shaken, all_of_them = sum(cell.disturbed for *_, cell in cells), sum(len(cell.samples) for *_, cell in cells)
    if shaken:
        said.append(
            f"{shaken} of {all_of_them} measurements stayed disturbed after repeats "
            "(the machine was slow, or server or client had to wait for a CPU); ~ marks a median of mostly such ones."
        )
    if any(row.bare for row in run.rows):
        said.append("No loop: the same work by blocking calls in one thread, about what every loop has to pay.")
    said += [f"{row.key} was left out: {why}." for row in run.rows if (why := left_out(row))]
    net = [sample for row, _, cell in cells if row.kind == "net" for sample in cell.samples]
    if net:
        pins = run.settings.net
        where = "on any CPU"
        if pins.server_cpu is not None:
            where = f"the server on CPU {pins.server_cpu}, the client on CPU {pins.client_cpu}"
        how = f"sampled {HERTZ:,} times a second"
        if not all(sample["sampled"] for sample in net):
            how = "split by the kernel's clock ticks, which is rough: see its spread"
        said.append(
            f"Echo: {CONNECTIONS} connections, {SIZE:,} bytes, one message in flight on each, {where}, "
            f"windows of {pins.window_ms / 1000:g} s. CPU is the server's, in total by getrusage, its user part {how}."
        )
    web = [row.key.partition(".")[2] for row in run.rows if row.kind == "http" and run.results[row.key]]
    if web:
        many = ", ".join(f"{http_rows.CONNECTIONS[name]} ({name})" for name in web)
        said.append(f"Web: connections of wrk, {many}, one request in flight on each; the answer is 13 bytes of text.")
    bound = [f"{row.key} on {label(name)}" for row, name, cell in cells if row.kind == "net" and client_bound(cell)]
    if bound:
        said.append(
            "The client was at least as busy as the server, so requests per second of server CPU "
            f"tell more than requests per second, in: {', '.join(bound)}."
        )
    said += [f"{row.key} on {label(name)}: {cell.note}." for row, name, cell in cells if cell.note]
    return said


def client_bound(cell: Cell) -> bool:
    """Whether the client may have held the server up."""
    client, server = cell.median("client_busy"), cell.median("server_busy")
    return client is not None and server is not None and client >= max(server, 0.9)


def sections(run: Run, pure: bool) -> list[tuple[str, Table]]:
    """All tables with their titles."""
    kinds = {kind: [row for row in run.rows if row.kind == kind] for kind in ("task", "work", "net", "http", "memory", "install")}
    parts = [("Loops", versions(run)), ("cede beside the best peer", targets(judge(run.rows, run.results, pure)))]
    if kinds["task"]:
        parts.append(("Tasks and callbacks, ns per operation", figures(run, kinds["task"])))
    if kinds["work"]:
        parts.append(("Processes, names, threads, transfers", figures(run, kinds["work"])))
    parts += [(f"Echo: {row.title}", network(run, row)) for row in kinds["net"]]
    parts += [(f"Web: {row.title}", network(run, row)) for row in kinds["http"] if run.results[row.key]]
    if kinds["memory"]:
        parts.append(("Memory, bytes each", figures(run, kinds["memory"])))
    if kinds["install"]:
        parts.append(("Import and install", figures(run, kinds["install"])))
    return parts


def pipes(table: Table) -> str:
    """A Markdown table; figures to the right."""
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in table]
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rest))


def markdown(run: Run, pure: bool) -> str:
    """The whole page."""
    page = ["# cede and its peers", "", *(f"- {key}: {value}" for key, value in facts().items()), ""]
    for title, table in sections(run, pure):
        page += [f"## {title}", "", pipes(table), ""]
    page += ["## Notes", "", *(f"- {note}" for note in notes(run)), ""]
    return "\n".join(page)


def as_json(run: Run, pure: bool) -> dict[str, Any]:
    """Everything that was measured, every round."""
    return {
        "machine": facts(),
        "pure": pure,
        "settings": asdict(run.settings),
        "seconds": round(run.seconds, 1),
        "rounds": run.rounds_done,
        "load": run.load,
        "loops": [asdict(each) for each in run.installed],
        "targets": [
            {
                "row": line.row.key,
                "contestant": line.contestant,
                "metric": line.metric.key,
                "cede": line.ours,
                "against": line.against,
                "theirs": line.theirs,
                "ratio": line.ratio,
                "target": line.target.text if line.target else None,
                "met": line.met,
                "no_loop": line.bare,
            }
            for line in judge(run.rows, run.results, pure)
        ],
        "rows": {
            key: {name: {"rounds": cell.samples, "failures": cell.failures, "disturbed": cell.disturbed} for name, cell in cells.items()}
            for key, cells in run.results.items()
        },
        "notes": notes(run),
    }
