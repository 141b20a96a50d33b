"""The ledger itself: no entry without a test, and the rules that keep it short."""

from __future__ import annotations

import unittest

import pytest

from . import ledger, plan


@pytest.mark.skipif(not plan.available(), reason=plan.MISSING)
def test_every_entry_matches_a_test() -> None:
    _, book = plan.whole()
    assert book.unmatched() == []


def one(**keys: object) -> str:
    lines = {"tests": '["Some.test_one"]', "reason": '"decided by the weather, not by us"', **keys}
    return "[[entry]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (one(reason='"not implemented"'), "needs a reason"),
        (one(python='["2.7"]'), "'python' lists versions"),
        (one(python="[]"), "'python' lists versions"),
        (one(build='"fast"'), "build is"),
        (one(tests='"Some.test_one"'), "list of patterns"),
        (one(colour='"red"'), "unknown keys"),
    ],
)
def test_a_bad_entry_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ledger.parse(text)


def classes_under(text: str) -> tuple[type[unittest.TestCase], ledger.Ledger]:
    class Some(unittest.TestCase):
        def test_one(self) -> None:
            self.fail("as it does")

        def test_two(self) -> None:
            pass

    book = ledger.Ledger(ledger.parse(text), "pure")
    book.mark(Some)
    return Some, book


def outcome(cls: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(cls).run(result)
    return result


def test_a_listed_test_that_fails_is_expected() -> None:
    cls, book = classes_under(one())
    result = outcome(cls)
    assert result.wasSuccessful()
    assert len(result.expectedFailures) == 1
    assert book.unmatched() == []


def test_a_stale_entry_fails_the_run() -> None:
    cls, _ = classes_under(one(tests='["Some.test_*"]'))
    result = outcome(cls)
    assert not result.wasSuccessful()
    assert [case.id().rpartition(".")[2] for case in result.unexpectedSuccesses] == ["test_two"]


def test_an_entry_without_a_test_is_found() -> None:
    _, book = classes_under(one(tests='["Some.test_one", "Some.test_three"]'))
    assert book.unmatched() == ["Some.test_three"]


def test_another_python_or_build_is_left_alone() -> None:
    other = next(version for version in ledger.KNOWN if version != ledger.HERE)
    for text in (one(python=f'["{other}"]'), one(build='"compiled"')):
        cls, book = classes_under(text)
        assert book.entries == []
        assert not outcome(cls).wasSuccessful()


def test_two_reasons_for_one_test_are_refused() -> None:
    with pytest.raises(ValueError, match="one test, one reason"):
        classes_under(one() + one(tests='["Some.*"]'))


def test_what_lies_on_top_is_asked_first() -> None:
    below = ledger.parse(one(tests='["Some.test_*"]') + one(tests='["Other.test_one"]'))
    other = one(tests='["Some.test_two"]', reason='"another one, on top of the first"')
    top = ledger.parse(other + one(tests='["Some.test_three"]', passes="true"))
    book = ledger.Ledger(below, "pure", top)
    found = [book.find(f"Some.test_{name}") for name in ("one", "two", "three")]
    assert [entry and entry.reason for entry in found] == ["decided by the weather, not by us", "another one, on top of the first", None]
    assert book.unmatched() == ["Other.test_one"], "an entry whose tests are named on top has not lost them"
    with pytest.raises(ValueError, match="one test, one reason"):
        ledger.Ledger(below + below, "pure").find("Some.test_one")


def test_a_suite_with_our_names_has_both_ledgers() -> None:
    alone, both = ledger.load("cpython", "compiled"), ledger.load("cpython-names", "compiled")
    assert len(both.entries) > len(alone.entries)
    assert set(ledger.modules_left_out("cpython")) < set(ledger.modules_left_out("cpython-names"))
