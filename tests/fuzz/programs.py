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

WRITES = st.tuples(st.just("act"), INDEX, st.sampled_from(["write", "write", "writelines"]), SIZES)
ACTS = st.tuples(
    st.just("act"), INDEX, st.sampled_from(["eof", "pause", "resume", "close", "abort", "limits", "ask"]), SIZES
)  # fmt: skip
SWAPS = st.tuples(st.just("act"), INDEX, st.just("swap"), st.sampled_from([0, 1, 100, 70_000]))
TURN = st.tuples(st.just("turn"), TURNS)
WAYS = ["unix", "unix", "tls", "pipe", "udp", "unix datagrams"]
OPENS = st.tuples(st.just("open"), st.sampled_from(WAYS), KINDS, st.tuples(QUIRKS, QUIRKS), st.booleans())
SERVES = st.tuples(st.just("serve"), KINDS, SERVER_QUIRKS, st.booleans(), st.booleans(), st.sampled_from([None, None, 1, 2]))
DIALS = st.tuples(st.just("dial"), INDEX, st.sampled_from([0, 0, 100]), QUIRKS)
SERVER_ACTS = ["close", "close_clients", "abort_clients", "start_serving", "start_serving", "wait_closed"]
SERVERS = st.tuples(st.just("server"), INDEX, st.sampled_from(SERVER_ACTS))
UPGRADES = st.tuples(st.just("upgrade"), INDEX)
CANCELS = st.tuples(st.just("cancel"), INDEX)

STEP = st.one_of(WRITES, TURN, ACTS, WRITES, TURN, OPENS, SWAPS, SERVES, DIALS, DIALS, SERVERS, UPGRADES, CANCELS)
# Something is there from the beginning, or most steps of a short program would do nothing.
PROGRAMS = st.builds(
    lambda debug, first, steps: (debug, [first, ("turn", 3), *steps]),
    st.sampled_from([False, False, False, True]),
    st.one_of(OPENS, SERVES),
    st.lists(STEP, min_size=1, max_size=40),
)
