"""A non-blocking socket as the `Wire` of a session in Python's turn, and its bytes in.

Always holds: what the socket does not take waits here, and the session bounds it (`OUTGOING_BYTES_MAX`).
"""

from __future__ import annotations

import socket
from typing import Final

READ_BYTES: Final = 16 << 10


class SocketWire:
    """One connection. `is_open` is False once it has ended here, or was closed and all that was written has left."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._waiting = bytearray()
        self._closes = False
        self._is_paused = False
        self.is_open = True

    @property
    def fd(self) -> int:
        return self._sock.fileno()

    def write(self, data: bytes) -> None:
        if self.is_open and not self._closes:
            self._waiting += data
            self.flush()

    def flush(self) -> None:
        """As much as goes."""
        while self._waiting and self.is_open:
            try:
                sent = self._sock.send(self._waiting)
            except BlockingIOError:
                return
            except OSError:
                self._end()  # the reader's side finds the same; what was stored is asked for again
                return
            del self._waiting[:sent]
        if self._closes:
            self._end()

    def read(self) -> bytes | None:
        """What has come; b"" for nothing now, None when the connection has ended."""
        if not self.is_open:
            return None
        if self._is_paused:
            return b""
        try:
            return self._sock.recv(READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def close(self) -> None:
        self._closes = True
        self.flush()

    def abort(self) -> None:
        self._waiting.clear()
        self._end()

    def buffered(self) -> int:
        return len(self._waiting)

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False

    def _end(self) -> None:
        self.is_open = False
        self._sock.close()
