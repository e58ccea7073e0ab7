"""QuickFIX's way of cutting a stream into messages, for talking to what was tested against it.

`fix.codec.Framer` goes on at the next "8=FIX" once a message turns out to be garbled, so that a wrong BodyLength
costs that message alone. QuickFIX believes BodyLength and then looks for the next CheckSum: with one that is too
long it takes the message behind it for a part of the first and loses both. Its acceptance script 2m holds an
acceptor to that.

Always holds here: what leaves has passed `Framer` too, so nothing is taken here that is not a message there.
"""

from __future__ import annotations

from typing import Final

from fix.codec import MESSAGE_BYTES_MAX, SOH, Framer

# A head and a trailer around the longest body, and the message that is swallowed with it.
_BUFFER_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX


class QuickFixFramer:
    """A `fix.session_config.Framing`. `garbled` counts what was dropped, in messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbled = 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """The next whole frame, or None until more bytes are fed."""
        while (cut := self._cut()) is not None:
            framer = Framer()
            framer.feed(cut)
            if framer.next_frame() == cut:
                return cut
            self.garbled += 1
        return None

    def rest(self) -> bytes:
        return bytes(self._buffer)

    def emptied(self) -> QuickFixFramer:
        """A new one that has counted as much."""
        new = QuickFixFramer()
        new.garbled = self.garbled
        return new

    def _cut(self) -> bytes | None:
        """What QuickFIX takes for a message: from "8=" to the CheckSum behind the body."""
        begin = self._buffer.find(b"8=")
        if begin < 0:
            del self._buffer[:-1]
            return None
        del self._buffer[:begin]
        end = self._end()
        if end is None:
            if len(self._buffer) > _BUFFER_BYTES_MAX:
                end = len(self._buffer)
            else:
                return None
        cut = bytes(self._buffer[:end])
        del self._buffer[:end]
        return cut

    def _end(self) -> int | None:
        """Where the message at the buffer's start ends; None when it is not all there yet."""
        length_at = self._buffer.find(SOH + b"9=") + 3
        length_end = self._buffer.find(SOH, length_at) if length_at >= 3 else -1
        if length_end < 0:
            return None
        digits = bytes(self._buffer[length_at:length_end])
        if not digits.isdigit() or len(digits) > 9 or int(digits) > MESSAGE_BYTES_MAX:
            return len(self._buffer)  # QuickFIX drops all that it has
        body_end = length_end + 1 + int(digits)
        if len(self._buffer) < body_end:
            return None
        trailer = self._buffer.find(SOH + b"10=", body_end - 1)
        end = self._buffer.find(SOH, trailer + 4) if trailer >= 0 else -1
        return end + 1 if end >= 0 else None
