"""The style as a test: who may import whom, and what must not stand in a source.

The rules are those of docs/design.md (rooms) and the project's style. Each check names the file and line.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent

GROUND: Final = {"core", "shared_mem"}
MIDDLE: Final = {"actors", "marketdata", "fix"}
# room -> the rooms (or single modules) of ours that it may import, besides itself
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "shared_mem": set(),
    "core": {"shared_mem"},
    "actors": GROUND,
    "marketdata": GROUND,
    "fix": GROUND,
    "services": GROUND | MIDDLE,
    "gateways": GROUND | MIDDLE | {"services.schemas"},
    "app": GROUND | MIDDLE | {"services", "gateways", "loadtests"},
    "loadtests": GROUND | MIDDLE | {"services", "gateways", "app"},
}
ROOMS: Final = sorted(MAY_IMPORT)

# What does I/O, or waits: never in the ground, nor in FIX's codec and session.
PURE: Final = ("core/", "shared_mem/", "fix/codec.py", "fix/session")
IMPURE_PACKAGES: Final = {
    "asyncio", "uvloop", "socket", "ssl", "http", "urllib", "asyncpg", "sqlalchemy", "alembic", "redis",
    "nats", "litestar", "uvicorn", "websockets", "aiosmtplib", "aiosmtpd",
}  # fmt: skip
# What makes a decision depend on more than its arguments.
CLOCK_AND_CHANCE: Final = {
    "time",
    "datetime",
    "random",
    "secrets",
    "uuid.uuid1",
    "uuid.uuid4",
    "numpy.random",
}
# Where money, price and quantity are decided.
MONEY: Final = ("core/", "actors/", "fix/order_router.py")
# A module grows past this when it holds a second idea.
LINES_MAX: Final = 500


@cache
def _sources() -> tuple[Path, ...]:
    return tuple(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported; `from a import b` counts as a.b, for b may be a module."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}:{node.lineno}: imports are written out from the room"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _under(dotted: str, names: set[str]) -> bool:
    return any(dotted == name or dotted.startswith(name + ".") for name in names)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{_name(path)}:{line} imports {dotted}"
        for path in _sources()
        if path.relative_to(ROOT).parts[0] == room
        for line, dotted in _imports(path)
        if dotted.split(".")[0] in MAY_IMPORT and not _under(dotted, allowed)
    ]
    assert wrong == []


def test_the_ground_and_fixs_protocol_do_no_io() -> None:
    wrong = [
        f"{_name(path)}:{line} imports {dotted}"
        for path in _sources()
        if _name(path).startswith(PURE)
        for line, dotted in _imports(path)
        if dotted.split(".")[0] in IMPURE_PACKAGES
    ]
    assert wrong == []


def test_core_and_fixs_protocol_have_no_clock_and_no_chance() -> None:
    wrong = [
        f"{_name(path)}:{line} imports {dotted}"
        for path in _sources()
        if _name(path).startswith(("core/", "fix/codec.py", "fix/session"))
        for line, dotted in _imports(path)
        if _under(dotted, CLOCK_AND_CHANCE)
    ]
    assert wrong == []


def test_no_float_where_money_is_decided() -> None:
    wrong = []
    for path in _sources():
        if not _name(path).startswith(MONEY) or _name(path) in FLOATS_ELSEWHERE:
            continue
        for node in ast.walk(_tree(path)):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            called = isinstance(node, ast.Name) and node.id == "float"
            divided = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _joins_paths(node)
            dtype = isinstance(node, ast.Attribute) and node.attr in ("float64", "float32")
            if literal or called or divided or dtype:
                wrong.append(f"{_name(path)}:{getattr(node, 'lineno', '?')}")
    assert wrong == []


# Seconds of waiting and of progress, which no order ever sees.
FLOATS_ELSEWHERE: Final = {"actors/ahead.py", "actors/due.py", "actors/shard.py", "actors/warm.py"}


def _joins_paths(node: ast.BinOp) -> bool:
    """Whether `/` joins a folder and a name: text or a formatted text stands in it, or a name in capitals."""
    right = node.right
    text = isinstance(right, ast.JoinedStr) or (
        isinstance(right, ast.Constant) and isinstance(right.value, str)
    )
    return text or (isinstance(right, ast.Name) and right.id.isupper())


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        _name(path)
        for path in _sources()
        if ast.get_docstring(_tree(path)) is None and path.read_text("utf-8").strip()
    ]
    assert silent == []


def test_no_module_outgrows_its_idea() -> None:
    long = [
        f"{_name(path)}: {lines} lines"
        for path in _sources()
        if (lines := len(path.read_text("utf-8").splitlines())) > LINES_MAX
    ]
    assert long == []


def test_no_file_is_dead() -> None:
    """Every module is imported by another, is run by name, or is one that a tool finds by its place."""
    everywhere = [*_sources(), *sorted((ROOT / "tests").rglob("*.py"))]
    imported = {dotted for path in everywhere for _, dotted in _imports(path)}
    text = "\n".join(p.read_text("utf-8") for p in (ROOT / "Makefile", ROOT / "pyproject.toml"))
    dead = []
    for path in _sources():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found_by_place = path.name == "__init__.py" or module.startswith(
            ("app.roles.", "services.migrations.")
        )
        program = 'if __name__ == "__main__"' in path.read_text("utf-8")
        if not (_under_any(module, imported) or found_by_place or program or module in text):
            dead.append(_name(path))
    assert dead == []


def _under_any(module: str, imported: set[str]) -> bool:
    return any(dotted == module or dotted.startswith(module + ".") for dotted in imported)


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
    left = []
    for path in _sources():
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type == tokenize.COMMENT and any(mark in token.string for mark in marks):
                    left.append(f"{_name(path)}:{token.start[0]}")
    assert left == []


def test_no_registry_host_is_committed() -> None:
    for name in ("requirements.lock", "requirements-web.lock", "web/package-lock.json"):
        assert "://" not in (ROOT / name).read_text("utf-8"), f"{name} names a host; see `make lock`"
