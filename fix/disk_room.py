"""Room on the disk for what a file does not have yet, so that a full disk is met before anything depends on it.

Always holds: the file's size stays what it is, and what is appended later takes the room. So a reader sees nothing of
it, and a file that is cut to its size gives the rest back.

Must not: fail where a file system knows no reservations; then nothing is reserved, as before.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

# linux/falloc.h
_KEEP_SIZE: Final = 1
FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_UNKNOWN: Final = frozenset((errno.EOPNOTSUPP, errno.ENOSYS))

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def reserve(fd: int, begin: int, length: int) -> bool:
    """Whether the bytes begin..begin + length of the file have room on the disk now. Raises OSError for a disk that is
    ill, and not only full."""
    while _fallocate(fd, _KEEP_SIZE, begin, length) != 0:
        error = ctypes.get_errno()
        if error in FULL:
            return False
        if error in _UNKNOWN:
            return True
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
    return True
