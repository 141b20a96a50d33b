"""The heap that holds the timers of an uncompiled cede, against a list that is sorted."""

from __future__ import annotations

import gc
import random
import weakref
from collections import deque
from typing import Any

from cede.core.pure.heap import FEW, LazyHeap


class Timer:
    """As much of a timer as the heap knows."""

    def __init__(self, when: float) -> None:
        self._when = when
        self._number = 0
        self._heap: Any = None


def check(heap: LazyHeap) -> None:
    """What pure/heap.py promises at its head."""
    numbers = [number for _, number in heap.entries]
    assert set(heap.pending) <= set(numbers)
    assert len(set(numbers)) == len(numbers)
    assert not numbers or numbers[0] in heap.pending
    assert heap.size() == len(heap) == len(heap.pending) == len(heap.snapshot())
    for number, timer in heap.pending.items():
        assert timer._heap is heap
        assert timer._number == number


def test_against_a_sorted_list(rng: random.Random) -> None:
    heap: Any = LazyHeap()
    model: list[Timer] = []
    for _ in range(3000):
        choice = rng.random()
        if choice < 0.45 or not model:
            timer = Timer(rng.choice([rng.random(), 0.5]))
            heap.push(timer)
            model.append(timer)
        elif choice < 0.8:
            timer = model.pop(rng.choice([-1, 0, rng.randrange(len(model))]))
            heap.remove(timer)
            assert timer._heap is None
        else:
            model.sort(key=lambda timer: (timer._when, timer._number))
            if rng.random() < 0.5:
                assert heap.next_time() == model[0]._when
                assert heap.pop() is model.pop(0)
            else:
                now = rng.random() / 4
                due: deque[Timer] = deque()
                heap.take_due(now, due)
                assert list(due) == [timer for timer in model if timer._when <= now]
                model = [timer for timer in model if timer._when > now]
        check(heap)
        assert set(heap.snapshot()) == set(model)
    heap.clear()
    check(heap)
    assert all(timer._heap is None for timer in model)


def test_cancelled_timers_do_not_pile_up(rng: random.Random) -> None:
    heap: Any = LazyHeap()
    first = Timer(0.0)
    heap.push(first)
    kept = [Timer(rng.random() + 1) for _ in range(100)]
    for timer in kept:
        heap.push(timer)
    for _ in range(10_000):
        # One is cancelled while a younger one waits, so it is not the last entry.
        older, younger = Timer(rng.random() + 1), Timer(rng.random() + 1)
        heap.push(older)
        heap.push(younger)
        heap.remove(older)
        heap.remove(younger)
        assert len(heap.entries) <= 2 * len(heap) + FEW + 2
    check(heap)
    for timer in kept:
        heap.remove(timer)
        assert len(heap.entries) <= 2 * len(heap) + FEW
    assert heap.pop() is first
    assert heap.entries == []


def test_nothing_of_a_cancelled_timer_stays() -> None:
    heap: Any = LazyHeap()
    heap.push(kept := Timer(0.0))
    timers = [Timer(1.0 + i) for i in range(10)]
    for timer in timers:
        heap.push(timer)
    gone = [weakref.ref(timer) for timer in timers]
    gc.disable()
    try:
        for timer in timers:
            heap.remove(timer)
        del timer, timers
        assert [ref() for ref in gone] == [None] * 10
    finally:
        gc.enable()
    assert heap.next_time() == kept._when
