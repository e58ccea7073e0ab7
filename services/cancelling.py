"""Being cancelled, where a library may keep that to itself.

`asyncio.wait_for` of Python 3.11 gives back a result that came together with the cancellation, and forgets the latter;
so does what is built on it (the clients of NATS and SMTP). NATS's client also drops one that meets a flush, or tells it
as a lost connection. A loop that goes on after such a call would go on for ever: it asks here, each time around.
"""

from __future__ import annotations

import asyncio


def end_if_cancelled() -> None:
    """Raises CancelledError where this task was cancelled (by its owner, or by an `asyncio.timeout` around), though
    nobody raised it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
