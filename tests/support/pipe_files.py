"""Pipes as file objects, and transports over them."""

from __future__ import annotations

import asyncio
import io
import os
from typing import Any

from tests.support.driver_worlds import Notes


def pipe_files() -> tuple[io.FileIO, io.FileIO]:
    ear, mouth = os.pipe()
    return io.FileIO(ear, "rb"), io.FileIO(mouth, "wb")


async def read_from(file: Any, protocol: Any = Notes) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_read_pipe(protocol, file)


async def write_to(file: Any, protocol: Any = Notes) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_write_pipe(protocol, file)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))
