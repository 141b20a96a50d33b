"""Programs: drawn by a number, written as a literal, made smaller."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from typing import Any

from .actions import ACTIONS, COUNTS, WEIGHTS
from .places import PLACES

# [(place, [action, ...]), ...], where an action is a name with its numbers
Program = list[tuple[str, list[tuple[Any, ...]]]]


def draw(seed: int, only: Collection[str] = (), avoid: Collection[str] = ()) -> Program:
    """The program of that number, on each machine and each time. `only`, `avoid`: names of places and actions; where `only` names none of
    a kind, each of that kind will do.
    """
    rng = random.Random(seed)
    actions = [name for name in ACTIONS if name in only and name not in avoid] or [name for name in ACTIONS if name not in avoid]
    weights = [WEIGHTS.get(name, 1.0) for name in actions]
    places = [name for name in PLACES if name in only and name not in avoid] or [name for name in PLACES if name not in avoid]
    shares = [PLACES[name][1] for name in places]
    program: Program = []
    for place in rng.choices(places, shares, k=rng.randint(1, 7)):
        names = rng.choices(actions, weights, k=rng.randint(1, 6))
        program.append((place, [(name, *(rng.randrange(60) for _ in range(COUNTS[name]))) for name in names]))
    return program


def smaller(program: Program) -> Iterator[Program]:
    """What is left without one of its parts, larger parts first."""
    for index in range(len(program)):
        if len(program) > 1:
            yield program[:index] + program[index + 1 :]
    for index, (place, actions) in enumerate(program):
        for which in range(len(actions)):
            yield [*program[:index], (place, actions[:which] + actions[which + 1 :]), *program[index + 1 :]]


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest that still fails, as far as leaving out one part after the other leads, and `fails` has the time."""
    found = True
    while found:
        found = False
        for candidate in smaller(program):
            if fails(candidate):
                program, found = candidate, True
                break
    return program
