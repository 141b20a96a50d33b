"""Subprocesses: `subprocess_exec` and `subprocess_shell`."""

from __future__ import annotations

import subprocess
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin

if TYPE_CHECKING:
    from collections.abc import Callable

_PIPE = subprocess.PIPE


class ChildrenMixin(LoopMixin):
    """Starts child processes, and gives each a transport."""

    # Those that run: what they hold is given back when the loop closes, and in a forked child.
    _children: dict[Any, None]

    async def subprocess_shell(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        cmd: str | bytes,
        *,
        stdin: Any = _PIPE,
        stdout: Any = _PIPE,
        stderr: Any = _PIPE,
        shell: bool = True,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Run `cmd` by the shell; return ``(transport, protocol)``. Other options are those of subprocess.Popen, text
        modes excepted.

        Raises ValueError for what is no command or no option of a child that talks bytes, OSError where there is no shell.
        """
        if not isinstance(cmd, (bytes, str)):
            raise ValueError(f"cmd must be a string, got {cmd!r}")
        if not shell:
            raise ValueError("shell must be True")
        return await self._start_child(protocol_factory, cmd, True, stdin, stdout, stderr, options)

    async def subprocess_exec(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        program: Any,
        *args: Any,
        stdin: Any = _PIPE,
        stdout: Any = _PIPE,
        stderr: Any = _PIPE,
        shell: bool = False,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Run `program` with `args`; return ``(transport, protocol)``. Other options are those of subprocess.Popen,
        text modes excepted.

        Raises OSError where the program cannot be run, subprocess.SubprocessError for a failing ``preexec_fn``, ValueError for
        options that make no sense here, TypeError for unknown ones.
        """
        if shell:
            raise ValueError("shell must be False")
        return await self._start_child(protocol_factory, (program, *args), False, stdin, stdout, stderr, options)

    async def _start_child(
        self,
        protocol_factory: Callable[[], Any],
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        from cede.process.spawn import check_options, spawn
        from cede.process.transport import SubprocessTransport

        self._check_closed()
        check_options(options)
        protocol = protocol_factory()
        what = ""
        if self._debug:
            what = f"run shell command {args!r}" if shell else f"execute program {args[0]!r}"
            logger.debug("%s%s", what, _told_of_pipes(stdin, stdout, stderr))
        transport = SubprocessTransport(self, protocol, spawn(args, shell, stdin, stdout, stderr, options))
        if self._debug:
            logger.debug("process %r created: pid %s", args if shell else args[0], transport.get_pid())
        try:
            await transport.connect()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        if what:
            logger.info("%s: %r", what, transport)
        return transport, protocol

    def _release_children(self) -> None:
        """Watch them no longer; they live on."""
        for child in list(self._children):
            child.release()
            self._children.pop(child, None)


def _told_of_pipes(stdin: Any, stdout: Any, stderr: Any) -> str:
    """How a child is connected, for the log."""
    words = {subprocess.PIPE: "<pipe>", subprocess.STDOUT: "<stdout>", subprocess.DEVNULL: "<devnull>"}
    text = ""
    for name, value in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        if value is not None:
            text += f" {name}={words.get(value, repr(value)) if isinstance(value, int) else repr(value)}"
    return text
