"""Worker processes are started, stopped and killed: on cede, whose pools they are."""

from tests.examples.programs import run


def test_primes() -> None:
    lines = run("cede", "primes.py", "--upto", "20000", "--parts", "5").splitlines()
    assert lines[0].startswith("2262 primes below 20000")
    assert lines[1:] == [
        "stopped in the middle: True",
        "a worker died of signal 9",
        "and the next call: 25 primes below 100",
        "done 6, failed 1, cancelled 1",
    ]
