"""The network between two hosts is cut and mended: owner and standby in network namespaces, joined by one cable."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from app.config import run_dir_of
from tests.stack import ROOT

PATIENCE_S = 240
KEY = secrets.token_hex(16)


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Cable:
    """Two namespaces and what joins them."""

    def __init__(self) -> None:
        name = f"tw{os.getpid()}"
        self.spaces = (f"{name}a", f"{name}b")
        self.addresses = ("10.99.7.1", "10.99.7.2")
        for space in self.spaces:
            run("ip", "netns", "add", space)
        run("ip", "link", "add", "twv0", "netns", self.spaces[0], "type", "veth", "peer", "name", "twv1",
            "netns", self.spaces[1])  # fmt: skip
        for side, space in enumerate(self.spaces):
            run("ip", "-n", space, "addr", "add", f"{self.addresses[side]}/24", "dev", f"twv{side}")
            run("ip", "-n", space, "link", "set", "lo", "up")
        self.mend()

    def cut(self) -> None:
        run("ip", "-n", self.spaces[0], "link", "set", "twv0", "down")

    def mend(self) -> None:
        for side, space in enumerate(self.spaces):
            run("ip", "-n", space, "link", "set", f"twv{side}", "up")

    def close(self) -> None:
        for space in self.spaces:
            subprocess.run(("ip", "netns", "del", space), check=False, capture_output=True)


class End:
    """A child in a namespace; `said` gives its lines."""

    def __init__(self, space: str, role: str, folder: Path, host: str, port: int) -> None:
        words = ("ip", "netns", "exec", space, sys.executable, "-m", "tests.faults.link_child")
        self._child = subprocess.Popen(
            [*words, role, str(folder), host, str(port), KEY], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self._run_dir = run_dir_of(folder)
        threading.Thread(target=self._read, daemon=True).start()
        word, self.port = self.said()
        assert word == "ready"

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line)

    def said(self) -> tuple[str, str]:
        word, _, rest = self._lines.get(timeout=PATIENCE_S).strip().partition(" ")
        return word, rest

    def ask(self, line: str) -> tuple[str, str]:
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        return self.said()

    def wait_to_say(self, wanted: tuple[str, str]) -> None:
        while self.said() != wanted:
            continue

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        shutil.rmtree(self._run_dir, ignore_errors=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    try:
        made = Cable()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this system makes no network namespaces: {error.stderr!r}")
    yield made
    made.close()


@pytest.mark.faults
def test_a_standby_behind_a_cut_cable_is_away_and_catches_up_when_it_is_mended(
    cable: Cable, tmp_path: Path
) -> None:
    owner = End(cable.spaces[0], "owner", tmp_path / "owner", cable.addresses[0], 0)
    standby = End(cable.spaces[1], "standby", tmp_path / "standby", cable.addresses[0], int(owner.port))
    try:
        standby.wait_to_say(owner.ask("trade 20"))
        owner.ask("wait following")
        for _ in range(3):
            cable.cut()
            owner.ask("trade 50")
            owner.ask("wait away")
            cable.mend()
            standby.wait_to_say(owner.ask("trade 20"))
            owner.ask("wait following")
    finally:
        standby.close()
        owner.close()
