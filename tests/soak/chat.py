"""A chat server on streams. Rooms number their messages; what was acknowledged with a number reaches everybody who is in the room.

``JOIN room name`` is answered with ``HELLO number``, ``SAY id text`` with ``OK id number``; members get ``MSG number name id text``.
Whoever reads too slowly to keep up is thrown out.
"""

from __future__ import annotations

from typing import Any

MOST_UNREAD = 256 * 1024


class Room:
    def __init__(self) -> None:
        self.number = 0
        self.members: dict[Any, str] = {}


class Chat:
    """All rooms."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.messages = self.dropped = 0

    def numbers(self) -> dict[str, int]:
        return {name: room.number for name, room in self.rooms.items()}

    async def serve(self, reader: Any, writer: Any) -> None:
        room: Room | None = None
        try:
            while line := await reader.readline():
                words = line.decode("utf-8", "replace").rstrip("\n").split(" ", 2)
                if len(words) == 3 and words[0] == "JOIN" and room is None:
                    room = self.rooms.setdefault(words[1], Room())
                    room.members[writer] = words[2]
                    writer.write(f"HELLO {room.number}\n".encode())
                elif len(words) == 3 and words[0] == "SAY" and room is not None and writer in room.members:
                    number = self.say(room, room.members[writer], *words[1:])
                    writer.write(f"OK {words[1]} {number}\n".encode())
                    await writer.drain()
                else:
                    writer.write(b"WHAT?\n")
                    break
        except (OSError, ValueError):  # gone, or a line without end
            pass
        finally:
            if room is not None:
                room.members.pop(writer, None)
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass

    def say(self, room: Room, name: str, request: str, text: str) -> int:
        room.number += 1
        self.messages += 1
        line = f"MSG {room.number} {name} {request} {text}\n".encode()
        for writer in [*room.members]:
            if writer.transport.get_write_buffer_size() > MOST_UNREAD:
                self.dropped += 1
                del room.members[writer]
                writer.transport.abort()
            else:
                writer.write(line)
        return room.number
