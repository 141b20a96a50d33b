# cython: auto_pickle=False
"""Where the records of a TLS stream end, told from their headers alone.

A record has five bytes of header: a type, two of version, two of length. Knowing where it ends, the receiver gives OpenSSL whole
records and asks for as many as it gave. Asking in vain costs an exception, 2 us; and what OpenSSL's buffer holds never grows
beyond one record.

Invariants
----------
* Every byte of the stream passes `advance` once, in order, from the first one on.
* `seen` is 0 exactly between two records. Where it is not, OpenSSL has nothing new to say.
* What is no record (an SSL 2 hello, garbage) sets `lost`, for good: no more ends are told, and every piece counts as whole. OpenSSL
  alone judges what is TLS.
"""

from __future__ import annotations

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    HEADER = 5
    LONGEST_BODY = 16384 + 2048  # RFC 5246, 6.2.3


class Records:
    """Follows the records of one direction."""

    seen: int  # bytes of the header that came, 5 inside of the body, 0 between records
    body: int  # bytes of the body of the record under way, or of the last
    missing: int  # how many of them are still to come
    lost: bool

    def __init__(self) -> None:
        self.seen = 0
        self.body = self.missing = 0
        self.lost = False

    def advance(self, data: bytearray, start: int, end: int) -> int:
        """Where in ``data[start:end]`` the record under way ends; `end` where more of it has to come."""
        if self.lost:
            return end
        while self.seen < HEADER:
            if start == end:
                return end
            byte = data[start]
            if self.seen == 0:
                self.lost = not 20 <= byte <= 24
            elif self.seen == 1:
                self.lost = byte != 3
            elif self.seen == 3:
                self.missing = byte << 8
            elif self.seen == 4:
                self.missing |= byte
                self.body = self.missing
                self.lost = self.missing > LONGEST_BODY
            if self.lost:
                self.seen = 0
                return end
            self.seen += 1
            start += 1
        taken = min(self.missing, end - start)
        self.missing -= taken
        if self.missing == 0:
            self.seen = 0
        return start + taken

    def pass_over(self, data: bytearray, start: int, end: int) -> int:
        """All of ``data[start:end]`` goes by unlooked-at."""
        while start < end:
            start = self.advance(data, start, end)
        return 0
