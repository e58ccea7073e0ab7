"""Fixtures that every room's tests share: the whole running stack, and single servers from the wheels.

`stack` is one stack for the whole run: tests of it must leave no account short of cash and no process dead.
A test that kills, restarts, or replays a recording of its own makes its own with `make_stack`.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config import run_dir_of
from tests.stack import Stack, free_port_base, running_server

MakeStack = Callable[..., Stack]

# A run of all tests has more descriptors open than the 1,024 that many systems begin with: a desk of actors is not
# always closed by whoever kills it.
DESCRIPTORS = 8192
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = DESCRIPTORS if _hard == resource.RLIM_INFINITY else min(DESCRIPTORS, _hard)
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_wanted, _hard))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The one running stack of this test run, on the default replay."""
    running = Stack(tmp_path_factory.mktemp("stack") / "data", free_port_base())
    try:
        running.start()
        yield running
    finally:
        running.discard()


@pytest.fixture
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeStack]:
    """Starts stacks of a test's own: `make_stack(replay=path, speed="max", gate="synced")`."""
    made: list[Stack] = []

    def make(**options: object) -> Stack:
        running = Stack(tmp_path_factory.mktemp("stack") / "data", free_port_base(), options)
        made.append(running)
        running.start()
        return running

    yield make
    for running in made:
        running.discard()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Url of a real, empty PostgreSQL 18, shared by the test run: drop what you create."""
    with running_server("postgres", tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Url of a real NATS server with JetStream, shared by the test run: delete the streams you make."""
    with running_server("nats", tmp_path_factory.mktemp("nats")) as url:
        yield url


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in shared memory, as a stack's run_dir is."""
    folder = run_dir_of(tmp_path)
    folder.mkdir(mode=0o700, parents=True)
    yield folder
    shutil.rmtree(folder)
