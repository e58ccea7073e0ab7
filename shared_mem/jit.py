"""`@jit`: the one way a function is compiled here, and where its machine code is kept.

Always holds: compiled functions hold no GIL and are cached on disk, so that only the first start compiles.
numba's cache looks at the time stamp of the file a function stands in and not at the functions it calls, so
the folder's name carries a digest of every compiled source, numba's version and the processor: a change
anywhere means a fresh folder, never stale code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import llvmlite.binding
import numba
from numba.core import config as _numba_config

_ROOT: Final = Path(__file__).resolve().parent.parent
_GROUND: Final = ("shared_mem", "core", "actors")
_OTHERS: Final = ("marketdata", "fix", "gateways")

F = TypeVar("F", bound=Callable[..., Any])


def _compiled_sources() -> list[Path]:
    files = [path for room in _GROUND for path in sorted((_ROOT / room).glob("**/*.py"))]
    for room in _OTHERS:
        files += [p for p in sorted((_ROOT / room).glob("**/*.py")) if b"shared_mem.jit" in p.read_bytes()]
    return files


def _digest() -> str:
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.binding.get_host_cpu_name()}".encode())
    for path in _compiled_sources():
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir() -> Path:
    """TRADEWIND_CACHE_DIR, else `.cache/` of the project, else the user's cache folder."""
    chosen = os.environ.get("TRADEWIND_CACHE_DIR")
    if chosen:
        return Path(chosen) / "compiled" / _digest()
    home = _ROOT / ".cache"
    writable = os.access(home if home.exists() else _ROOT, os.W_OK)
    base = home if writable else Path.home() / ".cache" / "tradewind"
    return base / "compiled" / _digest()


CACHE_DIR: Final = cache_dir()
_settings: Any = _numba_config
_settings.CACHE_DIR = str(CACHE_DIR)
_OPTIONS: Final[Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "forceinline": True,
}


def jit(function: F) -> F:
    """Compile `function` to machine code: no interpreter, no GIL, no allocation, integer division as in C.

    Without numba's runtime (`_nrt`) an array carries no reference count, and a function that would allocate does
    not compile at all: the hot path's rule is held by the compiler. `forceinline` copies it into its callers: a
    call would pass the state's fifteen arrays as a hundred words on the stack.
    """
    return cast(F, numba.njit(**_OPTIONS)(function))


def whole(function: F) -> F:
    """As `jit`, but called, not copied into its callers: for the few functions that hold a great deal."""
    return cast(F, numba.njit(**{**_OPTIONS, "forceinline": False})(function))
