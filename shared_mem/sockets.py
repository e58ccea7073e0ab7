"""A connected socket from compiled code: what has come, and as much as goes; never a wait, never a signal.

Always holds: both calls return at once, whatever the peer does. Linux only: MSG_DONTWAIT makes the one call not wait,
whether or not the descriptor is non-blocking, so that asyncio may have it before and after.

Must not do: open, accept or close. The bytes of address..address+length are the caller's to be there.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types
from numba.core.types import ExternalFunction

from shared_mem.atomics import as_pointer, load_u32
from shared_mem.jit import jit

_libc_recv: Any = ExternalFunction("recv", types.int64(types.int32, types.voidptr, types.uint64, types.int32))
_libc_send: Any = ExternalFunction("send", types.int64(types.int32, types.voidptr, types.uint64, types.int32))
# glibc's and musl's name for where this thread's errno stands.
_libc_errno: Any = ExternalFunction("__errno_location", types.int64())

_MSG_DONTWAIT: Final = 0x40
_MSG_NOSIGNAL: Final = 0x4000
_EINTR: Final = 4
_EAGAIN: Final = 11

# What `recv_now` answers at the orderly end of the stream; below every -errno.
END: Final = -(1 << 16)


@jit
def _failure() -> int:
    """0 for "not now", else minus errno."""
    number = load_u32(_libc_errno())
    return 0 if number == _EAGAIN or number == _EINTR else -number


@jit
def recv_now(fd: int, address: int, room: int) -> int:
    """Up to `room` > 0 bytes that have come; 0: none now; END: the peer has closed; else minus errno."""
    found = _libc_recv(np.int32(fd), as_pointer(address), np.uint64(room), np.int32(_MSG_DONTWAIT))
    if found > 0:
        return found
    return END if found == 0 else _failure()


@jit
def send_now(fd: int, address: int, length: int) -> int:
    """How many of `length` > 0 bytes the socket took; 0: it is full; else minus errno."""
    flags = np.int32(_MSG_DONTWAIT | _MSG_NOSIGNAL)
    taken = _libc_send(np.int32(fd), as_pointer(address), np.uint64(length), flags)
    return taken if taken >= 0 else _failure()
