"""Names: `getaddrinfo` and `getnameinfo`, on a pool of their own so that no user's job is ever in front of them."""

from __future__ import annotations

import asyncio
import logging
import socket
from inspect import isawaitable
from typing import Any

from cede.core.task.wrap import wrap_future
from cede.loop.mixin import LoopMixin
from cede.net.resolver import resolver
from cede.net.resolver.cache import NameCache
from cede.net.resolver.literals import numeric_answer

logger = logging.getLogger("asyncio")


class NamingMixin(LoopMixin):
    """Host names and addresses."""

    _name_pool: resolver.ResolverPool | None = None
    _remembered: NameCache | None = None

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
        """What ``socket.getaddrinfo`` says, without blocking the loop.

        Numeric hosts are answered at once. Raises socket.gaierror, also for a name that is too long to be one and where
        thousands of look-ups wait already, and ValueError for an embedded NUL.
        """
        self._check_closed()
        answer = numeric_answer(host, port, family, type, proto, flags)
        if answer is not None:
            return answer
        resolver.check_host(host)
        told: Any = self.driver.resolve(host, port, family, type, proto, flags)
        if told is not None:
            return list(await told if isawaitable(told) else told)
        answer = resolver.answer_in_place(host, port, family, type, proto, flags)
        if answer is not None:
            return answer
        if self._remembered is not None and not resolver.is_replaced():
            return await self._look_up_once(self._remembered, host, port, family, type, proto, flags)
        if self._debug:
            return await self._look_up(self._timed_getaddrinfo, host, port, family, type, proto, flags)
        return await self._look_up(socket.getaddrinfo, host, port, family, type, proto, flags)

    def remember_names(self, seconds: float | None = 5.0, size: int = 256) -> None:
        """Keep the answers of `getaddrinfo` for so many seconds, at most `size` of them; None: keep none, the default.

        What was kept before is forgotten. Errors are not kept, and nothing is where ``socket.getaddrinfo`` was replaced.
        Raises TypeError or ValueError for bounds that are none. asyncio has nothing like it.
        """
        self._remembered = None if seconds is None else NameCache(seconds, size)

    async def _look_up_once(self, remembered: NameCache, *question: Any) -> list[Any]:
        answer = remembered.get(question, self.time())
        if answer is None:
            ask = self._timed_getaddrinfo if self._debug else socket.getaddrinfo
            found: list[Any] = await self._look_up(ask, *question)
            remembered.put(question, found, self.time())  # a copy: the list is the caller's
            return found
        return answer

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """What ``socket.getnameinfo`` says, without blocking the loop."""
        self._check_closed()
        if resolver.needs_no_lookup(flags):
            return socket.getnameinfo(sockaddr, flags)
        return await self._look_up(socket.getnameinfo, sockaddr, flags)

    def _look_up(self, function: Any, *args: Any) -> asyncio.Future[Any]:
        if self._offload is not None:
            return asyncio.wrap_future(self._submit_offload("name", function, *args), loop=self)
        pool = self._name_pool
        if pool is None:
            pool = self._name_pool = resolver.ResolverPool()
        return wrap_future(pool.submit(function, *args), loop=self, subject=args)  # type: ignore[no-any-return]

    def _timed_getaddrinfo(self, host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> list[Any]:
        asked = [f"{host}:{port!r}"]
        for name, value in (("family", family), ("type", type), ("proto", proto), ("flags", flags)):
            if value:
                asked.append(f"{name}={value!r}")
        question = ", ".join(asked)
        logger.debug("Get address info %s", question)
        began = self.time()
        answer = socket.getaddrinfo(host, port, family, type, proto, flags)
        took = self.time() - began
        level = logging.INFO if took >= self.slow_callback_duration else logging.DEBUG
        logger.log(level, "Getting address info %s took %.3fms: %r", question, took * 1e3, answer)
        return answer

    async def _resolve(self, address: Any, *, family: int = 0, type: int = socket.SOCK_STREAM, proto: int = 0, flags: int = 0) -> list[Any]:
        """Every address that `address`, a (host, port, ...) tuple, stands for. Asks `getaddrinfo`, which may have been
        replaced.
        """
        host, port = address[:2]
        info = resolver.literal_info(host, port, family, type, proto, *address[2:])
        if info is not None:
            return [info]
        resolver.check_host(host)
        return await self.getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)

    def _close_names(self) -> None:
        if self._name_pool is not None:
            self._name_pool.close()
            self._name_pool = None

    def _forget_names(self) -> None:
        """After a fork the pool's threads exist in the parent only."""
        self._name_pool = None
