"""A benchmark's own copy of compiled code: the same functions, a few of them wrapped, compiled anew.

The shard's loop has no hooks, and must not get any for a benchmark's sake. So its functions are taken as they stand
in the program, and where one of them calls a function that is to be watched, the copy calls the watcher.

Always holds: what is not on the way to a watched function is the original. A copy is never written to the compile
cache, whose key it would share with the original. A watched function that is not found is an error: then the program
was changed, and the benchmark measures something else than it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import numba
from numba.core.dispatcher import Dispatcher

from shared_mem.atomics import cycles, load_i64, store_i64

ROOMS: Final = ("shared_mem", "core", "actors", "loadtests")
_OPTIONS: Final = ("nogil", "error_model", "_nrt", "forceinline")


class NotCalled(LookupError):
    pass


def uncached(function: Callable[..., Any], like: Any) -> Any:
    """Compile as `like`, a compiled function, was: without the interpreter, the GIL and allocation."""
    options = {name: value for name, value in like.targetoptions.items() if name in _OPTIONS}
    return numba.njit(**options)(function)


class _Copy:
    def __init__(self, watched: Mapping[Any, Any]) -> None:
        self._watched = watched
        self._made: dict[Any, Any] = {}
        self.found: set[Any] = set()

    def of(self, function: Any) -> Any:
        if function in self._watched:
            self.found.add(function)
            return self._watched[function]
        if function not in self._made:
            self._made[function] = self._copied(function)
        return self._made[function]

    def _copied(self, function: Any) -> Any:
        original = function.py_func
        changed = dict(self._changes(original.__code__, original.__globals__))
        if not changed:
            return function
        copy = FunctionType(
            original.__code__, {**original.__globals__, **changed}, original.__name__, original.__defaults__,
            original.__closure__,
        )  # fmt: skip
        return uncached(copy, function)

    def _changes(self, code: CodeType, names: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """The globals of a function that the copy has otherwise: functions, and modules that hold such."""
        for name in code.co_names:
            value = names.get(name)
            if isinstance(value, Dispatcher):
                if (copy := self.of(value)) is not value:
                    yield name, copy
            elif isinstance(value, ModuleType) and value.__name__.split(".")[0] in ROOMS:
                members = dict(self._changes(code, vars(value)))
                if members:
                    module = ModuleType(value.__name__)
                    vars(module).update(vars(value))
                    vars(module).update(members)
                    yield name, module


def rebuilt(function: Any, watched: Mapping[Any, Any]) -> Any:
    """`function`, calling the watchers in `watched` (by the function watched) wherever it leads to one."""
    copy = _Copy(watched)
    made = copy.of(function)
    missing = [f.py_func.__qualname__ for f in watched if f not in copy.found]
    if missing:
        raise NotCalled(f"{function.py_func.__qualname__} does not call {', '.join(missing)}")
    return made


def timed(function: Any, total: int) -> Any:
    """A watcher that adds the cycles spent in `function` to the int64 at address `total`."""

    def stage(*arguments: Any) -> Any:
        before = cycles()
        result = function(*arguments)
        store_i64(total, load_i64(total) + cycles() - before)
        return result

    return uncached(stage, function)
