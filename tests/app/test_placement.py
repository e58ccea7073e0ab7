"""Roles on the cores that they are given: read, refused where the machine has them not, applied, and shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import child, placement
from app.config import Config, ConfigError, load
from app.faults import StackError
from app.process import Process
from app.roles import ROLES


def a_config(tmp_path: Path, cores: str, idle: str = "park") -> Config:
    return load({"cores": cores, "idle": idle}, {"TRADEWIND_DATA_DIR": str(tmp_path)}, tmp_path)


@given(st.dictionaries(st.sampled_from([r.name for r in ROLES]), st.sets(st.integers(0, 99), min_size=1)))
def test_cores_are_read_back_from_their_words(cores: dict[str, set[int]]) -> None:
    text = " ".join(f"{name}={placement.in_words(numbers)}" for name, numbers in cores.items())
    assert placement.parse(text) == cores


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("shard", "give ROLE=CORES"),
        ("sharp=1", "roles are .*shard"),
        ("shard=", "shard= names no cores"),
        ("shard=3-1", "shard=3-1 names no cores"),
        ("shard=1,x", "shard=1,x names no cores"),
        ("shard=9999", "shard=9999 names no cores"),
        ("shard=1 shard=2", "shard is given twice"),
    ],
)
def test_words_that_name_no_cores_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        a_config(tmp_path, text)


def test_a_key_of_the_file_says_it_too(tmp_path: Path) -> None:
    (tmp_path / "tradewind.toml").write_text('cores = "shard=2-3 fix-door=4"\n')
    assert load({}, {}, tmp_path).cores == {"shard": {2, 3}, "fix-door": {4}}


def test_a_core_that_the_machine_has_not_is_refused_by_its_number(tmp_path: Path) -> None:
    there = placement.in_words(os.sched_getaffinity(0))
    with pytest.raises(
        StackError, match=rf"fix-door is to run on 8000-8001, and what may be used here is {there}"
    ):
        placement.check(a_config(tmp_path, "fix-door=8000-8001"))


def test_a_loop_that_spins_leaves_its_flusher_a_core(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    placement.check(a_config(tmp_path, f"shard={core}"))
    with pytest.raises(StackError, match=rf"would spin on core {core}, which its flusher needs too"):
        placement.check(a_config(tmp_path, f"shard={core}", idle="spin"))


def test_a_role_runs_on_its_cores_and_is_shown_with_them(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    config = a_config(tmp_path, f"mailbox={core}")
    config.logs_dir.mkdir(parents=True)
    role = next(role for role in ROLES if role.name == "mailbox")
    process = Process(role)

    def main(_config: Config, ready: object) -> None:
        ready()  # type: ignore[operator]
        subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=False)

    process.began(child.fork("mailbox", main, config, []))
    assert process.child is not None
    try:
        process.child.read_ready()
        assert os.sched_getaffinity(process.child.pid) == {core}
        shown = process.status()
        assert shown.cores == ("" if len(os.sched_getaffinity(0)) == 1 else str(core))
        assert msgspec.json.decode(msgspec.json.encode(shown))["cores"] == shown.cores
    finally:
        os.killpg(process.child.pid, 9)
        os.waitpid(process.child.pid, 0)
