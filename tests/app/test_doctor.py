"""The doctor names what costs latency on a machine, and what to do; of a good machine it finds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import cli
from app.doctor import Finding, Machine, examine, report

GOOD = {
    "sys/fs/cgroup/cpu.max": "max 100000",
    "sys/devices/system/cpu/smt/active": "0",
    "sys/devices/system/cpu/isolated": "2-3",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "proc/mounts": "tmpfs /dev/shm tmpfs rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,huge=advise 0 0",
    "proc/sys/vm/swappiness": "1",
    "proc/swaps": "Filename Type Size Used Priority",
    "proc/cpuinfo": "flags : sse4_2 avx2",
    "proc/stat": "cpu  1000 0 1000 98000 0 0 0 0 0 0",
    "sys/devices/system/cpu/cpu0/cpuidle/state0/latency": "0",
    "sys/devices/system/cpu/cpu0/cpuidle/state1/latency": "2",
    "sys/devices/system/cpu/cpu0/cpuidle/state2/latency": "133",
    "sys/devices/system/cpu/cpu0/cpuidle/state2/disable": "1",
}
SPOILT = {
    "CPU quota": ("sys/fs/cgroup/cpu.max", "50000 100000"),
    "SMT": ("sys/devices/system/cpu/smt/active", "1"),
    "CPU governor": ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
    "C-states": ("sys/devices/system/cpu/cpu0/cpuidle/state2/disable", "0"),
    "steal": ("proc/stat", "cpu  1000 0 1000 98000 0 0 0 101 0 0"),
    "clock source": ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet"),
    "transparent huge pages": ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never"),
    "huge pages for /dev/shm": ("proc/mounts", "tmpfs /dev/shm tmpfs rw,nosuid 0 0"),
    "CRC-32C instruction": ("proc/cpuinfo", "flags : sse2"),
}


def a_machine(
    root: Path, changes: dict[str, str] | None = None, cores: int = 8, files: int = 1 << 20
) -> Machine:
    for name, text in {**GOOD, **(changes or {})}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return Machine(root, cores, files)


def bad(machine: Machine, tmp_path: Path) -> list[str]:
    """Of the machine; what the disk and the memory of this one take is not the test's to say."""
    found = examine(machine, tmp_path / "run", tmp_path / "data")
    return [f.what for f in found if not f.is_well and f.what not in ("synced write", "shared memory")]


def test_a_good_machine_has_no_finding(tmp_path: Path) -> None:
    assert bad(a_machine(tmp_path / "root"), tmp_path) == []


@pytest.mark.parametrize("what", SPOILT)
def test_each_thing_that_costs_latency_is_found_alone(tmp_path: Path, what: str) -> None:
    name, text = SPOILT[what]
    assert bad(a_machine(tmp_path / "root", {name: text}), tmp_path) == [what]


def test_few_cores_few_files_and_swap_are_found(tmp_path: Path) -> None:
    swap = {"proc/sys/vm/swappiness": "60", "proc/swaps": "Filename Type\n/swap.img file 8388604 0 -2"}
    machine = a_machine(tmp_path / "root", swap, cores=2, files=1024)
    assert bad(machine, tmp_path) == ["cores", "open files", "swap"]


def test_what_a_system_does_not_say_is_no_finding(tmp_path: Path) -> None:
    assert bad(Machine(tmp_path, 8, 1 << 20), tmp_path) == []


def test_the_probe_of_the_disk_leaves_nothing(tmp_path: Path) -> None:
    found = examine(a_machine(tmp_path / "root"), tmp_path / "run", tmp_path)
    assert any(f.what == "synced write" and f.found.endswith(f"in {tmp_path}") for f in found)
    assert not list(tmp_path.glob(".doctor*"))


def test_a_data_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = examine(Machine(tmp_path, 8, 1 << 20), tmp_path / "run", tmp_path / "file")
    (finding,) = [f for f in found if f.what == "data folder"]
    assert str(tmp_path / "file") in finding.found


def test_the_report_says_why_and_what_to_do() -> None:
    text = report([Finding("cores", "2", False, "they take turns", "more"), Finding("SMT", "off", True)])
    assert text.splitlines() == [
        "!!  cores  2", "           they take turns", "           → more", "ok  SMT    off",
        "1 of 2 cost latency here",
    ]  # fmt: skip
    assert report([Finding("SMT", "off", True)]).endswith("nothing here costs latency")


def test_the_command_looks_at_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json", "--data-dir", str(tmp_path / "data")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"cores", "open files", "synced write"} <= {row["what"] for row in rows}
    assert all(row["is_well"] or row["remedy"] for row in rows)
