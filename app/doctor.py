"""`tradewind doctor`: what of this machine costs latency, and what to do about it.

Always holds: it only reads, but for one small file in the data folder, synced some times to time the disk, and then
removed. A finding names what was found, why it matters and the command that changes it. What a system does
not say (a container without /sys, another kernel) is no finding.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

# A shard, its flusher and the doors run side by side; with fewer they take turns, some milliseconds each.
CORES_WANTED: Final = 4
# A door's clients and what a venue session, a reader and a segment file need.
FILES_WANTED: Final = 65_536
# One shard's tables at their default capacity, and the log's tail, touched in full.
SHM_WANTED: Final = 2 << 30
# A synced write takes 0.1 to 1 ms on a disk that may be used for gate `synced`.
SYNC_SLOW_S: Final = 0.005
SYNC_TRIES: Final = 20
# Waking from C1 takes some µs, from deeper states tens to hundreds.
WAKE_US_MAX: Final = 10
# One tick in a thousand: what a host takes for itself. More is a neighbour.
STEAL_SHARE_MAX: Final = 0.001
_STEAL: Final = 8  # the word of /proc/stat's first line, after "cpu"
# Read by a call into the kernel, not by an instruction: each time stamp costs a microsecond.
SLOW_CLOCKS: Final = ("acpi_pm", "hpet", "jiffies", "xen")


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` is empty when all is well."""

    what: str
    found: str
    is_well: bool
    why: str = ""
    remedy: str = ""


class Machine(msgspec.Struct, frozen=True):
    """Where the system tells about itself; tests give another root."""

    root: Path = Path("/")
    cores: int = 0
    files: int = 0

    @classmethod
    def this(cls) -> Machine:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(Path("/"), len(os.sched_getaffinity(0)), files)

    def read(self, name: str) -> str | None:
        try:
            return (self.root / name).read_text().strip()
        except OSError:
            return None


def _cores(machine: Machine) -> Iterator[Finding]:
    yield Finding(
        "cores", str(machine.cores), machine.cores >= CORES_WANTED,
        "the shard's loop, the flusher and the doors take turns on too few",
        f"give it {CORES_WANTED} or more, or TRADEWIND_IDLE=park so that nothing spins",
    )  # fmt: skip
    quota = machine.read("sys/fs/cgroup/cpu.max")
    if quota is not None:
        yield Finding(
            "CPU quota", quota, quota.startswith("max"),
            "a container over its quota stands still for the rest of the period, up to 100 ms",
            "give whole cores instead of a quota (cpuset)",
        )  # fmt: skip
    smt = machine.read("sys/devices/system/cpu/smt/active")
    if smt is not None:
        yield Finding(
            "SMT", "on" if smt == "1" else "off", smt != "1",
            "two loops on one physical core halve each other",
            "echo off > /sys/devices/system/cpu/smt/control, or pin the shard away from its sibling",
        )  # fmt: skip
    isolated = machine.read("sys/devices/system/cpu/isolated")
    if isolated is not None:
        yield Finding("isolated cores", isolated or "none", True)


def _governor(machine: Machine) -> Iterator[Finding]:
    places = sorted(machine.root.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"))
    found = sorted({place.read_text().strip() for place in places})
    if found:
        yield Finding(
            "CPU governor", ", ".join(found), found == ["performance"],
            "a core that slept begins slowly",
            "cpupower frequency-set -g performance",
        )  # fmt: skip


def _idle_states(machine: Machine) -> Iterator[Finding]:
    """Of the first core, for all are alike: how long the deepest state that it may fall into takes to wake from."""
    deepest_us = -1
    for place in machine.root.glob("sys/devices/system/cpu/cpu0/cpuidle/state*"):
        latency, disabled = machine.read(str(place / "latency")), machine.read(str(place / "disable"))
        if latency is not None and latency.isdecimal() and disabled != "1":
            deepest_us = max(deepest_us, int(latency))
    if deepest_us >= 0:
        yield Finding(
            "C-states", f"{deepest_us} µs to wake from the deepest", deepest_us <= WAKE_US_MAX,
            "a core that slept deeply takes the first order of a pause so much later",
            f"cpupower idle-set -D {WAKE_US_MAX}, or processor.max_cstate=1 on the kernel's command line",
        )  # fmt: skip


def _virtual(machine: Machine) -> Iterator[Finding]:
    """What the host takes from this machine, as a share of all time since it was started (proc(5), /proc/stat)."""
    told = (machine.read("proc/stat") or "").partition("\n")[0].split()
    if len(told) > _STEAL and told[0] == "cpu" and all(word.isdecimal() for word in told[1:]):
        ticks = [int(word) for word in told[1 : _STEAL + 1]]
        share = ticks[-1] / max(sum(ticks), 1)
        yield Finding(
            "steal", f"{share:.2%} of the time since the start", share <= STEAL_SHARE_MAX,
            "the host runs somebody else on this machine's cores, for milliseconds at a time",
            "dedicated cores from whoever runs the host, or a machine of its own",
        )  # fmt: skip
    flags = machine.read("proc/cpuinfo")
    if flags is not None:
        is_virtual = re.search(r"\bhypervisor\b", flags) is not None
        yield Finding("virtual machine", "yes" if is_virtual else "no", True)


def _clock(machine: Machine) -> Iterator[Finding]:
    source = machine.read("sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source is not None:
        yield Finding(
            "clock source", source, source not in SLOW_CLOCKS,
            "each reading of the clock is a system call",
            "clocksource=tsc on the kernel's command line, where the processor's counter is invariant",
        )  # fmt: skip


def _files(machine: Machine) -> Iterator[Finding]:
    yield Finding(
        "open files", str(machine.files), machine.files >= FILES_WANTED,
        "a door with a thousand clients runs out of descriptors",
        f"ulimit -n {FILES_WANTED}, or LimitNOFILE={FILES_WANTED} in the unit",
    )  # fmt: skip


def _memory(machine: Machine) -> Iterator[Finding]:
    anonymous = machine.read("sys/kernel/mm/transparent_hugepage/enabled")
    if anonymous is not None:
        chosen = anonymous.partition("[")[2].partition("]")[0]
        yield Finding(
            "transparent huge pages", chosen, chosen != "always",
            "the kernel stops a process to put pages together",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        )  # fmt: skip
    shared = _mount(machine, "/dev/shm")
    if shared is not None:
        yield Finding(
            "huge pages for /dev/shm", "yes" if "huge=" in shared and "huge=never" not in shared else "no",
            "huge=" in shared and "huge=never" not in shared,
            "with a million accounts each order misses the TLB several times",
            "mount -o remount,huge=advise /dev/shm",
        )  # fmt: skip
    swappiness, swaps = machine.read("proc/sys/vm/swappiness"), machine.read("proc/swaps")
    if swappiness is not None and swaps is not None and len(swaps.splitlines()) > 1:
        yield Finding(
            "swap", f"in use, swappiness {swappiness}", int(swappiness) <= 1,
            "a table that was idle is read back from disk, a page at a time",
            "swapoff -a, or sysctl vm.swappiness=1",
        )  # fmt: skip


def _mount(machine: Machine, place: str) -> str | None:
    """The options of what is mounted at a place last, and so on top."""
    found = None
    for line in (machine.read("proc/mounts") or "").splitlines():
        words = line.split()
        if len(words) > 3 and words[1] == place:
            found = words[3]
    return found


def _instructions(machine: Machine) -> Iterator[Finding]:
    told = machine.read("proc/cpuinfo")
    if told is not None:
        has = "sse4_2" in told or "crc32" in told
        yield Finding(
            "CRC-32C instruction", "yes" if has else "no", has,
            "each record of the log is checksummed by table, ten times slower",
            "another processor, or the host's CPU type in the virtual machine",
        )  # fmt: skip


def _shared_memory(run_dir: Path) -> Iterator[Finding]:
    place = next(parent for parent in (run_dir, *run_dir.parents) if parent.exists())
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    yield Finding(
        "shared memory", f"{free / 2**30:.1f} GiB free in {place}", free >= SHM_WANTED,
        "a table that does not fit is a fault when it is touched",
        "mount -o remount,size=50% /dev/shm, or in a container --shm-size",
    )  # fmt: skip


def _disk(data_dir: Path) -> Iterator[Finding]:
    """What a synced write takes in the data folder: the least that gate `synced` costs."""
    place = next(parent for parent in (data_dir, *data_dir.parents) if parent.exists())
    probe = place / f".doctor.{os.getpid()}"
    try:
        fd = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        yield Finding(
            "data folder", f"{place}: {error.strerror}", False,
            "the log can't be written", "chown it to the desk's user, or choose another: TRADEWIND_DATA_DIR",
        )  # fmt: skip
        return
    try:
        os.posix_fallocate(fd, 0, 4096 * SYNC_TRIES)
        os.fsync(fd)
        took = []
        for number in range(SYNC_TRIES):
            began = time.perf_counter()
            os.pwrite(fd, bytes(4096), 4096 * number)
            os.fdatasync(fd)
            took.append(time.perf_counter() - began)
    finally:
        os.close(fd)
        probe.unlink()
    middle = statistics.median(took)
    yield Finding(
        "synced write", f"{middle * 1e3:.2f} ms (largest {max(took) * 1e3:.2f} ms) in {place}", middle <= SYNC_SLOW_S,
        "gate `synced` waits for one for each batch",
        "a disk with a power-loss-safe cache, or gate `written` with the flush window that it names",
    )  # fmt: skip


SYSTEM: Final[tuple[Callable[[Machine], Iterator[Finding]], ...]] = (
    _cores, _governor, _idle_states, _virtual, _clock, _files, _memory, _instructions,
)  # fmt: skip


def examine(machine: Machine, run_dir: Path, data_dir: Path) -> list[Finding]:
    """All findings, the good ones too, in a fixed order."""
    found = [finding for look in SYSTEM for finding in look(machine)]
    return [*found, *_shared_memory(run_dir), *_disk(data_dir)]


def report(findings: list[Finding]) -> str:
    """A line a finding; what is not well says why and what to do."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{'ok ' if finding.is_well else '!! '} {finding.what:{width}}  {finding.found}")
        if not finding.is_well:
            lines += [f"    {'':{width}}  {finding.why}", f"    {'':{width}}  → {finding.remedy}"]
    bad = sum(not finding.is_well for finding in findings)
    lines.append(f"{bad} of {len(findings)} cost latency here" if bad else "nothing here costs latency")
    return "\n".join(lines)
