"""The feed from the replay to the venue: every message of the recording, lossless, and how a pass begins
again.

The ring `feed.venue` carries MBO records; the venue creates it. A venue that starts has lost its book, so it
asks for the recording from its beginning: it writes the next request number into the small file
`feed.request`. The replay looks at that file, drops the pass it is in, and begins one whose messages carry
the number. The venue passes over messages with another number: they were left in the ring, of a pass for the
venue before it.

Always holds: within a pass the messages are there without a gap, from recording_index 0 on; after a pass
ends, or when the replay itself starts again, the next message is index 0. When the ring is full the replay
waits: the recording never runs ahead of the venue by more than FEED_CAPACITY messages.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from marketdata.records import MBO_BYTES, Message, unpack_message
from shared_mem.bell import Bell
from shared_mem.ring import Ring

FEED_RING: Final = "feed.venue"
FEED_BELL: Final = "bell.venue"
FEED_REQUEST: Final = "feed.request"

# 256 KiB: two bursts of a busy second, and little enough that a dead venue stops the recording soon.
FEED_CAPACITY: Final = 4096

REQUEST_MAX: Final = 2**32 - 1  # MBO.request is u4


class FeedGap(RuntimeError):
    """A message of the recording is missing in the ring: the book would be wrong from here on."""


def requested(run_dir: Path) -> int:
    """The number of the pass that the venue asks for; 0 while none has."""
    try:
        return int((run_dir / FEED_REQUEST).read_text())
    except FileNotFoundError:
        return 0


def request_pass(run_dir: Path) -> int:
    """Ask for the recording from its beginning (the venue). Returns the number its messages will carry."""
    number = requested(run_dir) % REQUEST_MAX + 1
    temporary = run_dir / f".{FEED_REQUEST}.{os.getpid()}"
    temporary.write_text(str(number))
    temporary.rename(run_dir / FEED_REQUEST)
    return number


class FeedReader:
    """The venue's end: creates the ring, asks for a pass, and gives its messages in order."""

    def __init__(self, run_dir: Path) -> None:
        self.bell = Bell.create(run_dir / FEED_BELL)
        self._ring = Ring.create(run_dir / FEED_RING, MBO_BYTES, FEED_CAPACITY)
        self._request = request_pass(run_dir)
        self._next = 0

    def pop(self) -> Message | None:
        """The next message; None when there is none now. Index 0 begins a book anew. Raises FeedGap."""
        while (raw := self._ring.pop()) is not None:
            message = unpack_message(raw)
            if message.request != self._request:
                continue
            if message.recording_index not in (0, self._next):
                raise FeedGap(
                    f"message {message.recording_index} came where {self._next} should; start the venue "
                    "again, and the recording begins anew"
                )
            self._next = message.recording_index + 1
            return message
        return None


def attach_feed(run_dir: Path) -> Ring:
    """The replay's end. Raises SegmentMissing while the venue has not started."""
    return Ring.attach(run_dir / FEED_RING, bell=Bell.attach(run_dir / FEED_BELL))
