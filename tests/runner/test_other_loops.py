"""A process that was put on cede and runs another loop says so in one line on standard error, once. Each way in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

MAIN = """
import asyncio, os, sys

async def main():
    print(type(asyncio.get_running_loop()).__module__.partition(".")[0])
"""
RUNNER = "with asyncio.Runner(loop_factory={}) as runner:\n    runner.run(main())"
POLICIES = "asyncio.events._set_event_loop_policy" if sys.version_info >= (3, 14) else "asyncio.set_event_loop_policy"
POLICY = "asyncio.events._get_event_loop_policy()" if sys.version_info >= (3, 14) else "asyncio.get_event_loop_policy()"
WAYS = {
    "by name": "loop = asyncio.SelectorEventLoop()\nloop.run_until_complete(main())\nloop.close()",
    "run_forever": "loop = asyncio.SelectorEventLoop()\nloop.create_task(main()).add_done_callback(lambda _: loop.stop())\n"
    "loop.run_forever()\nloop.close()",
    "Runner": RUNNER.format("asyncio.SelectorEventLoop"),
    "a class of the program's own": "class Own(asyncio.SelectorEventLoop):\n    pass\n" + RUNNER.format("Own"),
    "in a thread": "import threading\ndef work():\n    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:\n"
    "        runner.run(main())\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()",
    "a policy": f"policy = type({POLICY}).__mro__[1]()\n{POLICIES}(policy)\nasyncio.run(main())",
}
if sys.version_info >= (3, 12):
    WAYS["asyncio.run"] = "asyncio.run(main(), loop_factory=asyncio.SelectorEventLoop)"


def execute(source: str, *, command: tuple[str, ...] = ("-m", "cede", "run"), **environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *command, "-c", MAIN + textwrap.dedent(source)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("way", WAYS)
def test_it_is_told_once(way: str) -> None:
    done = execute(WAYS[way] + "\n" + WAYS["by name"])
    assert len(done.stdout.split()) == 2
    assert "cede" not in done.stdout
    assert done.stderr.count("\n") == 1
    assert "runs " in done.stderr
    assert "cede.new_event_loop" in done.stderr
    assert "<string>:" in done.stderr, "where it was started"


def test_a_loop_of_asyncios_is_called_that_and_another_by_its_class() -> None:
    assert "runs asyncio's own event loop" in execute(WAYS["by name"]).stderr
    assert "runs __main__.Own" in execute(WAYS["a class of the program's own"]).stderr


@pytest.mark.parametrize("command", [("-m", "cede", "run", "--stock"), ()])
def test_however_the_process_was_put_on_cede(command: tuple[str, ...]) -> None:
    source = WAYS["by name"] if command else f"import cede\ncede.accelerate()\ncede.accelerate()\n{WAYS['by name']}"
    assert execute(source, command=command).stderr.count("this process was put on cede but runs") == 1


def test_a_process_that_was_not_put_on_cede_is_told_nothing() -> None:
    assert execute(f"import cede\ncede.run(main())\n{WAYS['by name']}", command=()).stderr == ""


def test_cedes_own_loops_are_not_told_of() -> None:
    done = execute("""
        import cede
        class Own(cede.EventLoop):
            pass
        for factory in (cede.new_event_loop, Own, asyncio.new_event_loop):
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(asyncio.sleep(0))
        asyncio.run(main())
    """)
    assert (done.stdout, done.stderr) == ("cede\n", "")


def test_it_can_be_silenced() -> None:
    done = execute(WAYS["by name"], CEDE_QUIET="1")
    assert (done.stdout, done.stderr) == ("asyncio\n", "")
    assert execute(WAYS["by name"], CEDE_QUIET="0").stderr.count("\n") == 1


FULL = "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"


@pytest.mark.parametrize("close", ["sys.stderr = None", "sys.stderr.close()", "os.close(2)", FULL])
def test_a_process_without_standard_error_goes_on(close: str) -> None:
    source = f"{close}\n{WAYS['by name']}\nsys.stdout.flush(); os._exit(0)"
    assert execute(source).stdout == "asyncio\n"


def test_the_children_of_a_fork_do_not_say_it_again() -> None:
    once = "; ".join(WAYS["by name"].splitlines())
    done = execute(f"""
        {once}
        for _ in range(2):
            sys.stdout.flush()
            if not os.fork():
                {once}
                sys.stdout.flush()
                os._exit(0)
            os.wait()
    """)
    assert done.stdout.split() == ["asyncio"] * 3
    assert done.stderr.count("\n") == 1


def test_who_chose_the_loop_decides_what_is_advised(tmp_path) -> None:
    """By the program's frame that starts it: a server's own, where there is one."""
    (tmp_path / "hypercorn.py").write_text("def serve(loop, main):\n    loop.run_until_complete(main)\n")
    done = execute("import hypercorn\nhypercorn.serve(asyncio.SelectorEventLoop(), main())", PYTHONPATH=str(tmp_path))
    assert "hypercorn.py:2: " in done.stderr
    assert "--worker-class asyncio" in done.stderr
