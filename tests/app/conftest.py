"""Small stacks: the real command and supervisor with roles of a few lines, and servers that run elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, free_port_base, running_server


class TinyStack(Stack):
    """A stack of three roles: door, shard, follower."""

    command = (sys.executable, "-m", "tests.app.tiny")

    def events(self) -> list[str]:
        """What the roles wrote down, in order."""
        return (self.data_dir / "events").read_text().splitlines()

    def log(self, name: str) -> str:
        return (self.data_dir / "logs" / f"{name}.log").read_text()


MakeTiny = Callable[..., TinyStack]


@pytest.fixture(scope="session")
def elsewhere(
    postgres_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, object]]:
    """Options that name servers outside the stack, so that it starts none."""
    with running_server("valkey", tmp_path_factory.mktemp("valkey")) as redis_url:
        yield {"postgres_url": postgres_url, "nats_url": nats_url, "redis_url": redis_url}


@pytest.fixture
def make_tiny(tmp_path: Path) -> Iterator[MakeTiny]:
    """Makes small stacks that are not started yet, and ends them: `make_tiny(**options)`."""
    made: list[TinyStack] = []

    def make(**options: object) -> TinyStack:
        made.append(TinyStack(tmp_path / f"data{len(made)}", free_port_base(), options))
        return made[-1]

    yield make
    for tiny in made:
        tiny.discard()


@pytest.fixture
def tiny(make_tiny: MakeTiny, elsewhere: dict[str, object]) -> TinyStack:
    """A small stack that is up, with its servers elsewhere."""
    stack = make_tiny(**elsewhere)
    stack.start()
    return stack
