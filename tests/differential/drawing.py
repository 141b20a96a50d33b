"""Programs, drawn at random. A seed means the same program on each Python and each machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Body = list[list[Any]]
DEEPEST = 3


class Drawing:
    """One program. Each uses a few kinds of statements only, so that these meet often."""

    def __init__(self, seed: int, inside: bool = False) -> None:
        self.random = random.Random(seed)
        world = [kind for kind in KINDS if kind in OF_THE_WORLD for _ in range(3 if kind in OFTEN else 1)]
        others = [kind for kind in KINDS if kind not in OF_THE_WORLD]
        self.random.shuffle(world)
        self.random.shuffle(others)
        # Two thirds have to do with the world outside: there most can go wrong.
        outside = [] if inside else list(dict.fromkeys(world))[: self.chance((0, 1, 1, 1, 2, 2))]
        self.kinds = ["basic", *outside, *others[: self.chance((1, 2, 2, 3))]]
        self.plain = [name for kind in self.kinds for name in KINDS_OF[kind][0]]
        self.waiting = [name for kind in self.kinds for name in KINDS_OF[kind][1]]
        self.busy = len(self.kinds) > 1 and self.kinds[1] in OF_THE_WORLD
        self.size = self.chance((16, 20, 24, 30) if self.busy else (6, 10, 14, 20))

    def chance(self, of: Any) -> Any:
        return of[self.random.randrange(len(of))]

    def number(self, below: int = 6) -> int:
        return self.random.randrange(below)

    def numbers(self, least: int = 1, most: int = 3) -> list[int]:
        return [self.number() for _ in range(self.random.randrange(least, most + 1))]

    def units(self) -> int:
        return self.chance((0, 0, 0, 0, 1, 1, 2, 3) if self.busy else (0, 1, 1, 2, 3, 5))

    def parts(self, depth: int) -> list[Body]:
        """What a protocol runs when it is made, when it receives, at the end of what it receives, and when it is lost."""
        return [self.callback(depth + 1) for _ in range(4)]

    def end(self) -> int:
        """One of the ends of pairs of sockets."""
        return self.chance((0, 0, 0, 1, 1, 1, 2, 3))

    def program(self) -> dict[str, Any]:
        """The whole: what its tasks do that are there at the beginning."""
        return {"kinds": self.kinds, "tasks": [self.body(0) for _ in range(self.chance((3, 4, 5) if self.busy else (1, 2, 2, 3, 4)))]}

    def body(self, depth: int) -> Body:
        """What a task runs."""
        length = self.chance((1, 2, 3, 4)) if depth else self.chance((2, 3, 4, 6))
        made: Body = []
        for _ in range(length):
            if self.size <= 0:
                break
            self.size -= 1
            made.append(self.statement(depth))
        return made

    def statement(self, depth: int) -> list[Any]:
        names = self.waiting if self.random.randrange(5) < 3 else self.plain
        return self.of(self.chance(names), depth)

    def callback(self, depth: int) -> Body:
        """What a callback runs."""
        made: Body = []
        for _ in range(self.chance((0, 1, 1, 2))):
            self.size -= 1
            made.append(self.of(self.chance(self.plain), depth))
        return made

    def bodies(self, depth: int, most: int = 3) -> list[Body]:
        return [self.body(depth + 1) for _ in range(self.random.randrange(1, most + 1))]

    def of(self, name: str, depth: int) -> list[Any]:
        draw = ARGUMENTS.get(name)
        if draw is None:
            return [name]
        if depth >= DEEPEST and name in NESTING:
            return ["sleep", 0] if name in ALL_WAITING else ["tick", 1]
        return [ALIASES.get(name, name), *draw(self, depth)]


# Kind: the statements that do not wait, the statements that do. What stands there twice is drawn twice as often.
KINDS_OF: dict[str, tuple[list[str], list[str]]] = {
    "basic": (["call_soon", "spawn", "state", "tick"], ["sleep", "sleep", "attempt", "wait_future"]),
    "timers": (["call_later", "call_later", "call_in_the_past", "cancel_handle", "tick"], ["sleep", "spin"]),
    "futures": (
        ["new_future", "new_future", "set_result", "set_result", "set_exception", "when_done", "not_when_done"],
        ["wait_future", "wait_future"],
    ),
    "cancels": (["cancel", "cancel", "cancel_because", "uncancel", "cancelling", "cancel_handle"], ["at_last", "attempt"]),
    "loop": (["stop", "post", "who"], ["spin"]),
    "groups": (["child", "child", "fail"], ["group", "group", "group"]),
    "gathers": (["gather_later", "fail"], ["gather", "gather", "gather"]),
    "limits": (["move_limit"], ["limit", "limit", "wait_for_body", "wait_for_future"]),
    "waits": (["shield_later"], ["wait", "as_completed", "shielded"]),
    "locks": (["let_go", "locked"], ["lock", "lock", "lock", "acquire"]),
    "permits": (["give_permit", "locked"], ["permit", "permit", "take_permit"]),
    "events": (["set_event", "set_event", "clear_event"], ["wait_event", "wait_event"]),
    "conditions": (["notify", "notify"], ["condition", "condition", "wait_condition", "wait_condition"]),
    "barriers": ([], ["barrier", "barrier", "reset_barrier", "abort_barrier"]),
    "transports": (
        ["write", "write", "write", "write_pieces", "write_end", "close", "abort", "pause", "resume", "resume"],
        ["connect", "connect", "connect_to_end", "sock_send", "sock_receive", "sleep", "spin"],
    ),
    "flow": (
        ["write_much", "write_much", "write", "limits", "pause", "resume", "resume", "close"],
        ["connect", "connect_to_end", "sock_receive", "sleep"],
    ),
    "ends": ([*["last_words"] * 4, *["call_soon"] * 4, "stop"], ["connect", "connect", "connect", "sleep"]),
    "servers": (["write", "write", "close", "close_server", "abort"], ["serve", "serve_tcp", "visit", "visit", "visit", "sleep"]),
    "tls": (["write", "write", "write_pieces", "close", "abort", "pause", "resume"], ["connect_tls", "upgrade", "sleep", "sleep"]),
    "streams": (
        ["send_line", "send_line", "close_stream"],
        ["streams", "serve_streams", "visit_streams", "visit_streams", "read", "read", "read", "drain", "wait_closed"],
    ),
    "sockets": (["send_now", "send_now", "finish_sending"], ["sock_send", "sock_receive", "sock_receive", "sock_receive", "spin"]),
    "readers": (
        [
            *["add_reader", "add_reader", *["replace_reader"] * 4, "remove_reader", "add_writer", "remove_writer"],
            *["send_now", "send_now", "send_now"],
        ],
        ["sock_send"],
    ),
    "datagrams": (
        ["send_datagram", "send_datagram", "send_datagram", "close_endpoint", "abort_endpoint"],
        ["endpoints", "endpoints", "sleep", "spin"],
    ),
    "pipes": (
        ["write", "write", "write_much", "write_end", "close", "abort", "pause", "resume", "limits"],
        ["pipe", "pipe", "sleep", "spin"],
    ),
    "signals": (["on_signal", "on_signal", "send_signal", "send_signal", "send_signal", "off_signal"], ["sleep", "spin"]),
    "eager": (["spawn_eagerly", "spawn_eagerly", "cancel", "who"], ["wait_future", "sleep"]),
    "queues": (["put_now", "get_now", "task_done", "shut"], ["put", "put", "get", "get", "join"]),
}
KINDS = [kind for kind in KINDS_OF if kind != "basic"]
OF_THE_WORLD = ("transports", "flow", "ends", "servers", "tls", "streams", "sockets", "readers", "datagrams", "pipes", "signals")
OFTEN = ("transports", "sockets", "readers")
ALL_WAITING = {name for _, waiting in KINDS_OF.values() for name in waiting}

Draw = Callable[[Drawing, int], list[Any]]


def index(drawing: Drawing, depth: int) -> list[Any]:
    return [drawing.number()]


ARGUMENTS: dict[str, Draw] = {
    "call_soon": lambda d, depth: [d.callback(depth + 1)],
    "post": lambda d, depth: [d.callback(depth + 1)],
    "call_later": lambda d, depth: [d.units(), d.callback(depth + 1)],
    "call_in_the_past": lambda d, depth: [d.number(8), d.callback(depth + 1)],
    "cancel_handle": index,
    "tick": lambda d, depth: [d.chance((1, 1, 2, 4))],
    "set_result": index,
    "set_exception": index,
    "cancel": index,
    "cancel_because": index,
    "when_done": lambda d, depth: [d.number(), d.callback(depth + 1)],
    "not_when_done": index,
    "state": index,
    "spawn": lambda d, depth: [d.body(depth + 1)],
    "sleep": lambda d, depth: [d.units()],
    "spin": lambda d, depth: [d.chance((3, 70, 100, 500) if d.busy else (1, 3, 10, 70, 500)), d.number(2)],
    "wait_future": index,
    "attempt": lambda d, depth: [d.body(depth + 1), d.body(depth + 1)],
    "at_last": lambda d, depth: [d.body(depth + 1), d.body(depth + 1)],
    "gather": lambda d, depth: [d.bodies(depth), d.numbers(0, 2), bool(d.number(2))],
    "gather_later": lambda d, depth: [d.bodies(depth), d.numbers(0, 2), bool(d.number(2))],
    "group": lambda d, depth: [d.bodies(depth), d.body(depth + 1)],
    "child": lambda d, depth: [d.body(depth + 1)],
    "limit": lambda d, depth: [d.units(), d.body(depth + 1)],
    "move_limit": lambda d, depth: [d.chance((-1, 0, 1, 3))],
    "wait_for_body": lambda d, depth: [d.units(), d.body(depth + 1)],
    "wait_for_future": lambda d, depth: [d.units(), d.number()],
    "shielded": index,
    "shield_later": index,
    "wait": lambda d, depth: [d.numbers(), d.number(3), d.chance((-1, -1, 0, 1, 3))],
    "as_completed": lambda d, depth: [d.numbers(), d.chance((-1, -1, 1, 3))],
    "lock": lambda d, depth: [d.number(2), d.body(depth + 1)],
    "let_go": lambda d, depth: [d.number(2)],
    "locked": lambda d, depth: [d.number(2)],
    "acquire": lambda d, depth: [d.number(2)],
    "permit": lambda d, depth: [d.number(2), d.body(depth + 1)],
    "take_permit": lambda d, depth: [d.number(2)],
    "give_permit": lambda d, depth: [d.number(2)],
    "wait_event": lambda d, depth: [d.number(2)],
    "set_event": lambda d, depth: [d.number(2)],
    "clear_event": lambda d, depth: [d.number(2)],
    "condition": lambda d, depth: [d.body(depth + 1)],
    "notify": lambda d, depth: [d.chance((1, 1, 2))],
    "barrier": lambda d, depth: [d.number(2)],
    "reset_barrier": lambda d, depth: [d.number(2)],
    "abort_barrier": lambda d, depth: [d.number(2)],
    "put": lambda d, depth: [d.number(4)],
    "get": lambda d, depth: [d.number(4)],
    "put_now": lambda d, depth: [d.number(4)],
    "get_now": lambda d, depth: [d.number(4)],
    "task_done": lambda d, depth: [d.number(4)],
    "connect": lambda d, depth: [d.parts(depth), bool(d.number(2)), False],
    "connect_tls": lambda d, depth: [d.parts(depth), bool(d.number(2)), True],
    "connect_to_end": lambda d, depth: [d.parts(depth), bool(d.number(2))],
    "upgrade": lambda d, depth: [d.parts(depth)],
    "serve": lambda d, depth: [d.parts(depth), bool(d.number(2))],
    "serve_tcp": lambda d, depth: [d.parts(depth), bool(d.number(2))],
    "visit": lambda d, depth: [d.number(), d.parts(depth), bool(d.number(2))],
    "close_server": index,
    "write": lambda d, depth: [d.number(), d.chance((0, 1, 10, 1000))],
    "write_much": lambda d, depth: [d.number(), d.chance((100_000, 500_000))],
    "write_pieces": lambda d, depth: [d.number(), d.chance((0, 10, 1000))],
    "write_end": index,
    "last_words": lambda d, depth: [d.number(), d.chance((1, 10, 1000))],
    "close": index,
    "abort": index,
    "pause": index,
    "resume": index,
    "limits": lambda d, depth: [d.number(), d.chance((10, 1000, 100_000))],
    "serve_streams": lambda d, depth: [d.chance((1, 2, 5))],
    "visit_streams": index,
    "send_line": lambda d, depth: [d.number(), d.chance((1, 10, 300, 2000))],
    "close_stream": index,
    "drain": index,
    "wait_closed": index,
    "read": lambda d, depth: [d.number(), d.number(3)],
    "sock_send": lambda d, depth: [d.end(), d.chance((1, 10, 10, 1000))],
    "sock_receive": lambda d, depth: [d.end(), 1],
    "send_now": lambda d, depth: [d.end(), d.chance((1, 10, 1000))],
    "finish_sending": lambda d, depth: [d.end()],
    "add_reader": lambda d, depth: [d.end(), d.chance((0, 0, 0, 1, 2)), d.chance((1, 2, 5)), d.callback(depth + 1)],
    "replace_reader": lambda d, depth: [d.end(), 0, d.chance((1, 2, 5)), d.callback(depth + 1)],
    "remove_reader": lambda d, depth: [d.end()],
    "add_writer": lambda d, depth: [d.end(), d.chance((1, 2, 3)), d.callback(depth + 1)],
    "remove_writer": lambda d, depth: [d.end()],
    "shut": lambda d, depth: [d.number(4), not d.number(3)],
    "endpoints": lambda d, depth: [d.callback(depth + 1) for _ in range(3)],
    "send_datagram": lambda d, depth: [d.number(), d.chance((1, 10, 1000))],
    "close_endpoint": index,
    "abort_endpoint": index,
    "pipe": lambda d, depth: [d.parts(depth), d.callback(depth + 1)],
    "on_signal": lambda d, depth: [d.number(2), d.callback(depth + 1)],
    "send_signal": index,
    "off_signal": index,
    "spawn_eagerly": lambda d, depth: [d.body(depth + 1)],
    "join": lambda d, depth: [d.number(4)],
}
# The same statement, with other arguments.
ALIASES = {"connect_tls": "connect", "write_much": "write"}
# Those that hold bodies: not drawn where the program is deep already.
NESTING = {
    "call_soon", "post", "call_later", "call_in_the_past", "when_done", "spawn", "spawn_eagerly", "on_signal", "attempt", "at_last",
    "gather", "gather_later", "group", "child", "limit", "wait_for_body", "add_reader", "replace_reader", "add_writer", "lock", "permit",
    "condition",
}  # fmt: skip


def draw(seed: int, inside: bool = False) -> dict[str, Any]:
    """The program of that seed; `inside`: without sockets."""
    return Drawing(seed, inside).program()
