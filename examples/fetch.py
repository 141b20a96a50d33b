"""Fetch many URLs at once with aiohttp, in the three ways asyncio has for it.

    python   examples/fetch.py                        # from a little site of its own, good and bad pages
    cede run examples/fetch.py --how group https://example.org https://example.com

    --how gather         every URL gets its line, in the order asked, whatever happens to the others
                         (gather with return_exceptions)
    --how as-completed   each line as it comes; with --first N the rest is cancelled after N good ones
    --how group          all or nothing: the first failure cancels the others, and what failed is
                         told by kind (TaskGroup and except*)

Each request has a timeout, the whole run can have a deadline, and Ctrl-C cancels what is under way.
The exit status is 0 if everything asked for was fetched, 1 if not, 130 after Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

try:
    import aiohttp
    from aiohttp import web
except ImportError:
    sys.exit("fetch: this example needs aiohttp: pip install aiohttp")


class FetchError(Exception):
    """A URL that was not fetched, and why."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url}  {why}")


class TooSlow(FetchError): ...


class Refused(FetchError):
    """The server answered, and the answer was no."""


class Broken(FetchError):
    """There was no answer, or only half of one."""


@dataclass
class Fetcher:
    session: aiohttp.ClientSession
    timeout: float  # seconds for one URL, waiting for its turn not included
    gate: asyncio.Semaphore  # so many at once and no more
    tally: Counter[str] = field(default_factory=Counter)

    async def fetch(self, url: str) -> str:
        """A line about the page. Raises FetchError."""
        started = time.perf_counter()
        try:
            async with self.gate, asyncio.timeout(self.timeout), self.session.get(url) as response:
                response.raise_for_status()
                body = await response.read()
        except asyncio.CancelledError:
            self.tally["cancelled"] += 1
            raise  # always: somebody wants us to end, and counts on it
        except TimeoutError:
            self.tally["too slow"] += 1
            raise TooSlow(url, f"no answer within {self.timeout:g} s") from None
        except aiohttp.ClientResponseError as error:
            self.tally["refused"] += 1
            raise Refused(url, f"{error.status} {error.message}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: not a URL at all
            self.tally["broken"] += 1
            raise Broken(url, f"{type(error).__name__}: {error}") from error
        self.tally["fetched"] += 1
        return f"{url}  {response.status}, {len(body)} bytes, {(time.perf_counter() - started) * 1e3:.0f} ms"


async def by_gather(fetcher: Fetcher, urls: list[str]) -> bool:
    results = await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, FetchError):
            raise result  # a mistake of ours is not a result
        print(f"{'-' if isinstance(result, FetchError) else '+'} {result}")
    return not any(isinstance(result, FetchError) for result in results)


async def by_as_completed(fetcher: Fetcher, urls: list[str], first: int) -> bool:
    tasks = [asyncio.create_task(fetcher.fetch(url)) for url in urls]
    good = 0
    try:
        for next_done in asyncio.as_completed(tasks):
            try:
                print(f"+ {await next_done}", flush=True)
            except FetchError as error:
                print(f"- {error}", flush=True)
            else:
                good += 1
                if good == first:
                    break
    finally:
        for task in tasks:
            task.cancel()
        # Cancelled is not yet ended: wait, so that no connection is open when the session closes.
        await asyncio.gather(*tasks, return_exceptions=True)
    return good == (first or len(urls))


async def by_group(fetcher: Fetcher, urls: list[str]) -> bool:
    whole = True
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetcher.fetch(url)) for url in urls]
    except* TooSlow as slow:
        whole = False
        tell("too slow", slow)
    except* Refused as refused:
        whole = False
        tell("refused", refused)
    except* Broken as broken:
        whole = False
        tell("broken", broken)
    if whole:
        for task in tasks:
            print(f"+ {task.result()}")
    return whole


def tell(kind: str, group: BaseExceptionGroup[FetchError]) -> None:
    for error in group.exceptions:
        print(f"- {kind}: {error}")


@contextlib.asynccontextmanager
async def small_site() -> AsyncIterator[list[str]]:
    """A site of our own on a free port, with good and bad pages. Their URLs."""

    async def page(request: web.Request) -> web.StreamResponse:
        match request.path.strip("/"):
            case "slow":
                await asyncio.sleep(3600)
            case "broken":
                return web.Response(status=500)
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                assert request.transport is not None
                request.transport.close()
                return response
            case name if name.startswith("page"):
                return web.Response(text=f"this is {name}\n" * 100)
        return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{name}", page)
    # The slow page ends with its client, and nobody waits for it at the end. (0 would mean: for ever.)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        names = ["page1", "slow", "page2", "missing", "page3", "broken", "cut", "page4"]
        yield [f"http://{host}:{port}/{name}" for name in names]
    finally:
        await runner.cleanup()


async def main(args: argparse.Namespace) -> int:
    async with contextlib.AsyncExitStack() as stack:
        urls = args.urls or await stack.enter_async_context(small_site())
        # The timeouts are ours, so aiohttp's own five minutes are switched off.
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        fetcher = Fetcher(await stack.enter_async_context(session), args.timeout, asyncio.Semaphore(args.at_once))
        whole = False
        try:
            async with asyncio.timeout(args.deadline):
                match args.how:
                    case "gather":
                        whole = await by_gather(fetcher, urls)
                    case "as-completed":
                        whole = await by_as_completed(fetcher, urls, args.first)
                    case "group":
                        whole = await by_group(fetcher, urls)
        except TimeoutError:
            print(f"- the deadline of {args.deadline:g} s has passed")
        finally:
            print(", ".join(f"{count} {what}" for what, count in sorted(fetcher.tally.items())), flush=True)
    return 0 if whole else 1


def seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 86_400:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 86400 seconds, not {text}")
    return number


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
    return int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch many URLs at once with aiohttp.")
    parser.add_argument("urls", nargs="*", metavar="URL", help="default: a little site of its own, good and bad pages")
    parser.add_argument("--how", choices=["gather", "as-completed", "group"], default="gather", help="(%(default)s)")
    parser.add_argument("--timeout", type=seconds, default=2.0, metavar="S", help="for one URL (%(default)s s)")
    parser.add_argument("--deadline", type=seconds, metavar="S", help="for all of them (none)")
    parser.add_argument("--at-once", type=count, default=20, metavar="N", help="connections (%(default)s)")
    parser.add_argument("--first", type=count, default=0, metavar="N", help="as-completed: N good ones are enough")
    args = parser.parse_args()
    if args.first and args.how != "as-completed":
        parser.error("--first goes with --how as-completed")
    if args.first > len(args.urls or range(4)):
        parser.error(f"--first {args.first} is more than there are URLs")
    try:
        sys.exit(asyncio.run(main(args)))
    except KeyboardInterrupt:
        print("fetch: stopped", file=sys.stderr)
        sys.exit(130)
