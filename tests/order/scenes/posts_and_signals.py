"""What threads post, and signals."""

from __future__ import annotations

import os
import signal
import threading

from tests.order.stage import Stage, scene


@scene
def what_a_thread_posted_before_the_poll(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        far.send(b"x")
        stage.loop.call_soon(stage.note, "ready")
        thread = threading.Thread(target=stage.loop.call_soon_threadsafe, args=(stage.note, "posted"))
        thread.start()
        thread.join()
        stage.loop.call_later(0, stage.note, "timer")

    stage.loop.call_soon(act)
    stage.run(turns=5)


@scene
def what_the_loop_posts_to_itself(stage: Stage) -> None:
    future = stage.woken("woken")
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        far.send(b"x")
        stage.loop.call_soon_threadsafe(stage.note, "posted first")
        future.set_result(None)
        stage.loop.call_soon_threadsafe(stage.note, "posted second")
        stage.loop.call_soon(stage.note, "called")

    stage.loop.call_soon(stage.loop.call_soon, act)
    stage.run(turns=6)


@scene
def a_signal_that_the_program_sends_itself(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "signal")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.call_soon(stage.note, "ready")
        stage.loop.call_soon(stage.loop.call_soon, stage.note, "woken")

    stage.loop.call_soon(act)
    stage.run(turns=6)
    stage.loop.remove_signal_handler(signal.SIGUSR1)


@scene
def a_signal_that_was_sent_before_its_handler_was_removed_and_another_added(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "first")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.call_soon(stage.loop.remove_signal_handler, signal.SIGUSR1)
        stage.loop.call_soon(stage.loop.call_soon, act_again)

    def act_again() -> None:
        stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "second")
        stage.loop.add_signal_handler(signal.SIGUSR2, stage.note, "another")
        os.kill(os.getpid(), signal.SIGUSR2)

    stage.loop.call_soon(act)
    stage.run(turns=8)
    stage.loop.remove_signal_handler(signal.SIGUSR1)
    stage.loop.remove_signal_handler(signal.SIGUSR2)


@scene
def a_signal_whose_handler_is_replaced_before_it_is_told(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "first")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.remove_signal_handler(signal.SIGUSR1)
        stage.loop.call_soon(stage.loop.add_signal_handler, signal.SIGUSR1, stage.note, "second")

    stage.loop.call_soon(act)
    stage.run(turns=6)
    stage.loop.remove_signal_handler(signal.SIGUSR1)


@scene
def a_signal_that_comes_between_a_look_and_what_that_brought(stage: Stage) -> None:
    """The look did not see it: the next one does."""
    near, far = stage.pair()
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "signal")
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        far.send(b"x")
        stage.loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)

    stage.loop.call_soon(act)
    stage.run(turns=6)
    stage.loop.remove_signal_handler(signal.SIGUSR1)


@scene
def a_signal_whose_handler_is_removed_at_once(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "signal")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.remove_signal_handler(signal.SIGUSR1)

    stage.loop.call_soon(act)
    stage.run(turns=4)
