"""The systemd unit starts what there is to start, and waits as long as a stop may take."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from app import options, stack
from app.cli import _parser

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "tradewind.service"


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(UNIT)
    return parsed


def test_it_starts_a_command_that_exists(unit: configparser.ConfigParser) -> None:
    program, *words = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "tradewind"
    assert _parser().parse_args(words).detach is False, "systemd watches the supervisor itself"


def test_it_sets_variables_that_the_configuration_knows(unit: configparser.ConfigParser) -> None:
    name, _, value = unit["Service"]["Environment"].partition("=")
    assert name in {option.variable for option in options.OPTIONS}
    assert value == "/var/lib/" + unit["Service"]["StateDirectory"]


def test_it_waits_for_an_ordered_stop(unit: configparser.ConfigParser) -> None:
    assert int(unit["Service"]["TimeoutStopSec"]) > stack.DOWN_TIMEOUT_S
    assert unit["Service"]["KillMode"] == "mixed", "only the supervisor is told; it stops the others in order"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_understands_it(tmp_path: Path) -> None:
    # The program's path is that of an installation; here the unit is checked with one that exists.
    copy = tmp_path / UNIT.name
    copy.write_text(
        UNIT.read_text().replace("/opt/tradewind/.venv/bin/tradewind", shutil.which("true") or "/bin/true")
    )
    found = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    complaints = [line for line in found.stderr.splitlines() if UNIT.name in line]
    assert not complaints, "\n".join(complaints)
