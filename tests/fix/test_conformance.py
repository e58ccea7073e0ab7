"""QuickFIX's acceptance scripts, played against `tradewind fix echo-acceptor` over TCP.

The scripts and their player lie beside the repository, not in it. They run side by side: the versions on one
acceptor, each as a session of its own, and the one script that takes 35 seconds on another.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT.parent / "shared" / "fix-conformance"
VERSIONS = ("fix42", "fix44", "fix50sp2")
LONG = "6_SendTestRequest.def"

pytestmark = pytest.mark.skipif(
    not (SUITE / "run.py").is_file(),
    reason="QuickFIX's acceptance scripts are not beside this repository (../shared/fix-conformance)",
)


@contextmanager
def echo_acceptor(*words: str) -> Iterator[int]:
    """An echo acceptor of its own; gives its port."""
    command = (sys.executable, "-m", "app.cli", "fix", "echo-acceptor", "--port", "0", *words)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r":(\d+);", line)
        assert found, f"it says {line!r}"
        yield int(found[1])
    finally:
        process.terminate()
        process.wait(10)


def play(port: int, scripts: list[Path]) -> subprocess.Popen[str]:
    command = [sys.executable, str(SUITE / "run.py"), "127.0.0.1", str(port), *map(str, scripts)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, list[str]]]:
    """What the player said of each version."""
    with echo_acceptor() as port, echo_acceptor() as port_of_long:
        runs = []
        for version in VERSIONS:
            short = sorted(path for path in (SUITE / version).glob("*.def") if path.name != LONG)
            runs.append((version, play(port, short)))
            runs.append((version, play(port_of_long, [SUITE / version / LONG])))
        said: dict[str, list[str]] = {version: [] for version in VERSIONS}
        for version, run in runs:
            said[version].append(run.communicate(timeout=180)[0])
        yield said


@pytest.mark.parametrize("version", VERSIONS)
def test_every_acceptance_script_passes(version: str, played: dict[str, list[str]]) -> None:
    said = "\n".join(played[version])
    passed = sum(int(number) for number in re.findall(r"^(\d+) passed, 0 failed$", said, re.MULTILINE))
    assert passed == len(list((SUITE / version).glob("*.def"))), said


def test_with_safe_resynchronisation_only_the_script_of_quickfixs_framing_fails() -> None:
    """2m wants a good message lost behind one whose BodyLength is too long; ours is not (docs/fix.md)."""
    with echo_acceptor("--version", "4.4", "--option", "Framing=resync") as port:
        said = play(port, sorted((SUITE / "fix44").glob("[23]*.def"))).communicate(timeout=120)[0]
    assert re.findall(r"FAIL .*/(\w+)\.def", said) == ["2m_BodyLengthValueNotCorrect"], said
