"""Programs for the stage, as Hypothesis draws (and shrinks) them."""

from __future__ import annotations

from hypothesis import strategies as st

INDEX = st.integers(0, 7)
SIZES = st.sampled_from([0, 1, 2, 100, 1400, 5000, 16_384, 65_536, 65_537, 300_000, 1_000_000])
TURNS = st.integers(0, 6)
KINDS = st.tuples(*[st.sampled_from([0, 0, 0, 1, 100, 70_000])] * 2)

# Where a protocol misbehaves, at which of its calls there, and how.
PLACES = ["made", "data", "buffer", "eof", "full", "room", "lost"]
REACTIONS = ["raise", "close", "abort", "write", "writelines", "eof", "pause", "resume", "swap", "limits", "ask"]
REACTIONS += ["peer close", "peer abort", "peer write", "peer pause", "peer eof"]
REACTION = st.tuples(st.integers(1, 3), st.sampled_from(REACTIONS))
QUIRKS = st.one_of(
    st.just({}), st.just({"keep": True}), st.dictionaries(st.sampled_from(PLACES), REACTION, max_size=2),
    st.dictionaries(st.sampled_from(PLACES), REACTION, max_size=3).map(lambda quirks: {**quirks, "keep": True}),
)  # fmt: skip
SERVER_QUIRKS = st.one_of(QUIRKS, st.integers(1, 2).map(lambda number: {"factory": number}))

# Each kind of step, with how often it comes. Each is a list: what has no sense without time passing comes with some turns of the loop.
TURN = st.tuples(st.just("turn"), TURNS)
WRITE = st.tuples(st.just("act"), INDEX, st.sampled_from(["write", "write", "writelines"]), SIZES)
ACT = st.tuples(st.just("act"), INDEX, st.sampled_from(["pause", "resume", "limits", "ask"]), SIZES)
END = st.tuples(st.just("act"), INDEX, st.sampled_from(["eof", "eof", "close", "close", "abort"]), st.just(0))
SWAP = st.tuples(st.just("act"), INDEX, st.just("swap"), st.sampled_from([0, 1, 100, 70_000]))
WAYS = ["unix", "unix", "tls", "pipe", "udp", "unix datagrams"]
OPEN = st.tuples(st.just("open"), st.sampled_from(WAYS), KINDS, st.tuples(QUIRKS, QUIRKS), st.booleans())
SERVE = st.tuples(
    st.just("serve"), KINDS, SERVER_QUIRKS, st.booleans(), st.sampled_from([True, True, True, False]), st.sampled_from([None, None, 1, 2])
)
DIAL = st.tuples(st.just("dial"), INDEX, st.sampled_from([0, 0, 100]), QUIRKS)
SERVER_ACTS = ["close", "close_clients", "abort_clients", "start_serving", "start_serving", "wait_closed"]
SERVER = st.tuples(st.just("server"), INDEX, st.sampled_from(SERVER_ACTS))
FILE = st.tuples(st.just("send_file"), INDEX, SIZES, st.booleans())
UPGRADE = st.tuples(st.just("upgrade"), INDEX)
CANCEL = st.tuples(st.just("cancel"), INDEX)

ENOUGH = st.tuples(st.just("turn"), st.sampled_from([0, 1, 3, 5, 8]))
BLOCKS = {
    "write": (14, st.tuples(WRITE, TURN)),
    "write more": (6, st.tuples(WRITE, WRITE, ACT, TURN)),
    "act": (8, st.tuples(ACT)),
    "end": (4, st.tuples(END, TURN)),
    "swap": (2, st.tuples(SWAP)),
    "open": (4, st.tuples(OPEN, ENOUGH)),
    "serve": (1, st.tuples(SERVE)),
    "dial": (6, st.tuples(DIAL, ENOUGH)),
    "server": (2, st.tuples(SERVER)),
    "upgrade": (2, st.tuples(UPGRADE, ENOUGH)),
    "file": (2, st.tuples(FILE, TURN)),
    "cancel": (1, st.tuples(CANCEL)),
    "turn": (5, st.tuples(TURN)),
}
NAMES = [name for name, (often, _) in BLOCKS.items() for _ in range(often)]
BLOCK = st.sampled_from(NAMES).flatmap(lambda name: BLOCKS[name][1])

# Something is there from the beginning, or most steps of a short program would do nothing.
PROGRAMS = st.builds(
    lambda debug, first, blocks: (debug, [*first, ("turn", 3), *(step for block in blocks for step in block)]),
    st.sampled_from([False, False, False, True]),
    st.one_of(st.tuples(OPEN), st.tuples(SERVE, DIAL), st.tuples(OPEN, OPEN)),
    st.lists(BLOCK, min_size=6, max_size=40),
)
