"""How much of a process's CPU time was its own code, sampled finely.

The kernel's clocks know exactly how long a process ran, but on most systems split that into user and system time by
looking once per clock tick: 250 looks a second. An echo server is in its own code for a tenth of its time or less, so a
second of ticks holds that part to 20 % only. Where the kernel lets us, a timer of the perf subsystem looks 5,000 times
a second instead; where it does not, the caller falls back to the ticks and says so.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import struct
from pathlib import Path

HERTZ = 5000
PAGES = 64
SYSCALL = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
SOFTWARE, CPU_CLOCK, RECORD_SAMPLE = 1, 0, 9
ENABLE, DISABLE = 0x2400, 0x2401
DISABLED, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR = 1 << 0, 1 << 5, 1 << 6
HEAD_AT = 1024


def count_samples(ring: bytes) -> int:
    """The sample records in the written part of a ring that has not wrapped."""
    count = at = 0
    while at + 8 <= len(ring):
        kind, _, size = struct.unpack_from("<IHH", ring, at)
        if size < 8:
            break
        count += kind == RECORD_SAMPLE
        at += size
    return count


class ThreadSampler:
    """Looks at one thread, and writes a record whenever it finds it outside the kernel."""

    def __init__(self, tid: int) -> None:
        number = SYSCALL.get(platform.machine())
        if number is None:
            raise OSError(f"no number of perf_event_open known for {platform.machine()}")
        # struct perf_event_attr in its first published size of 64 bytes: type, size, config, period, sample_type,
        # read_format, flags, then zeroes.
        flags = DISABLED | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR
        attributes = struct.pack("<IIQQQQQ", SOFTWARE, 64, CPU_CLOCK, 10**9 // HERTZ, 1, 0, flags).ljust(64, b"\0")
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(ctypes.c_long(number), ctypes.c_char_p(attributes), tid, -1, -1, ctypes.c_ulong(8))
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.fd = fd
        self.page = mmap.PAGESIZE
        try:
            self.ring = mmap.mmap(fd, self.page * (PAGES + 1))
        except OSError:
            os.close(fd)
            raise

    def enable(self) -> None:
        """Start looking."""
        fcntl.ioctl(self.fd, ENABLE, 0)

    def disable(self) -> None:
        """Stop looking."""
        fcntl.ioctl(self.fd, DISABLE, 0)

    def seconds(self) -> float:
        """User CPU time seen. Raises ``OSError`` when the ring was too small to hold all."""
        head: int = struct.unpack_from("<Q", self.ring, HEAD_AT)[0]
        if head > self.page * PAGES - 64:
            raise OSError("more samples than the ring holds")
        return count_samples(self.ring[self.page : self.page + head]) / HERTZ

    def close(self) -> None:
        """Give the ring and the descriptor back."""
        self.ring.close()
        os.close(self.fd)


class UserTime:
    """Samples every thread that a process has when the window begins."""

    def __init__(self, pid: int) -> None:
        self.threads: list[ThreadSampler] = []
        self.why_not = ""
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                self.threads.append(ThreadSampler(int(task.name)))
        except OSError as error:
            self.why_not = f"perf_event_open: {error}"
            self.close()

    def begin(self) -> None:
        """The window begins."""
        for thread in self.threads:
            thread.enable()

    def end(self) -> None:
        """The window ends."""
        for thread in self.threads:
            thread.disable()

    def seconds(self) -> float | None:
        """User CPU time in the window, or None where it could not be sampled (`why_not` says why)."""
        if not self.threads:
            return None
        try:
            return sum(thread.seconds() for thread in self.threads)
        except OSError as error:
            self.why_not = str(error)
            return None

    def close(self) -> None:
        """Release everything; harmless when repeated."""
        for thread in self.threads:
            thread.close()
        self.threads = []
