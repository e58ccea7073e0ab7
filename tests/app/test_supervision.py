"""The supervisor as a person meets it: what dies comes back, what stops stops in order, whatever was left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app import config, preflight
from app.faults import StackError
from app.status import start_time
from tests.app.conftest import MakeTiny, TinyStack
from tests.stack import ROOT


def test_status_says_everything_a_program_needs(tiny: TinyStack) -> None:
    status = tiny.refresh()
    assert set(status) == {"ready", "endpoints", "demo", "processes", "orders_of_unknown_fate"}
    assert status["ready"] is True
    port = tiny.port_base
    assert status["endpoints"] == {
        "rest": f"http://127.0.0.1:{port}",
        "trading_stream": f"ws://127.0.0.1:{port}/stream",
        "data_stream": f"ws://127.0.0.1:{port}/v2/iex",
        "web": f"http://127.0.0.1:{port}/",
        "fix": f"127.0.0.1:{port + 1}",
        "binary": f"127.0.0.1:{port + 6}",
        "drop_copy": f"127.0.0.1:{port + 4}",
        "docs": f"http://127.0.0.1:{port}/docs",
    }
    assert status["demo"] == {"key_id": "TINY", "secret_key": "secret"}
    assert [process["name"] for process in status["processes"]] == ["door", "shard", "follower"]
    assert all(set(process) == {"name", "pid", "state", "cores"} for process in status["processes"])


def test_a_role_starts_when_what_it_needs_is_ready(tiny: TinyStack) -> None:
    assert tiny.events()[0] == "shard started"


def test_a_role_is_named_for_ps(tiny: TinyStack) -> None:
    assert psutil.Process(tiny.processes()["shard"]["pid"]).name() == "tw-shard"


def test_a_killed_role_is_started_again(tiny: TinyStack) -> None:
    old = tiny.kill("shard")
    tiny.wait_for_restart("shard", old)
    assert tiny.events().count("shard started") == 2
    assert "shard killed by SIGKILL" in tiny.log("supervisor")


def test_down_stops_doors_before_the_shard_and_followers_last(tiny: TinyStack) -> None:
    tiny.stop()
    stopped = [event for event in tiny.events() if event.endswith("stopped")]
    assert stopped == ["door stopped", "shard stopped", "follower stopped"]
    assert tiny.refresh()["ready"] is False
    assert tiny.refresh()["processes"] == []


def test_ctrl_c_stops_everything_in_order(make_tiny: MakeTiny, elsewhere: dict[str, object]) -> None:
    tiny = make_tiny(**elsewhere)
    options = _words(tiny)
    with subprocess.Popen(
        [*tiny.command, "up", "--data-dir", str(tiny.data_dir), "--port-base", str(tiny.port_base), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as terminal:
        assert terminal.stdout is not None
        shown = ""
        while "Place an order" not in shown:
            line = terminal.stdout.readline()
            assert line, shown
            shown += line
        os.killpg(terminal.pid, signal.SIGINT)  # as the terminal does: to its whole foreground group
        shown += terminal.stdout.read()
    assert terminal.returncode == 0, shown
    assert "Traceback" not in shown
    assert tiny.events()[-3:] == ["door stopped", "shard stopped", "follower stopped"]


def test_a_role_that_will_not_stop_is_killed(tiny: TinyStack) -> None:
    (tiny.data_dir / "shard.will-not-stop").touch()
    pid = tiny.processes()["shard"]["pid"]
    tiny.stop()
    assert start_time(pid) == 0
    assert "shard does not stop by itself; killed" in tiny.log("supervisor")


def test_a_role_that_keeps_dying_is_tried_ever_later_and_comes_back_when_it_can(tiny: TinyStack) -> None:
    cause = tiny.data_dir / "follower.cannot-start"
    cause.touch()
    tiny.kill("follower")
    eventually(tiny, lambda: "times in a row" in tiny.tradewind("status").stdout)
    assert {name: p["state"] for name, p in tiny.processes().items() if name != "follower"} == {
        "door": "ready",
        "shard": "ready",
    }
    assert tiny.status["ready"] is False
    assert "follower finds no instruments" in tiny.log("supervisor")
    cause.unlink()
    eventually(tiny, lambda: tiny.refresh()["ready"])


def test_a_start_without_the_shard_ends_with_its_last_words(
    make_tiny: MakeTiny, elsewhere: dict[str, object]
) -> None:
    tiny = make_tiny(**elsewhere)
    tiny.data_dir.mkdir()
    (tiny.data_dir / "shard.cannot-start").touch()
    options = _words(tiny)
    done = tiny.tradewind("up", "--detach", *options)
    assert done.returncode == 1
    assert "shard finds no instruments" in done.stdout
    assert "the start cannot go on without shard" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_second_up_on_the_same_folder_says_who_has_it(tiny: TinyStack) -> None:
    done = tiny.tradewind("up", "--detach")
    assert done.returncode == 1
    assert "a stack already runs on" in done.stdout
    assert "tradewind down" in done.stdout
    assert "Traceback" not in done.stdout
    assert tiny.refresh()["ready"] is True


def test_a_taken_port_is_named_with_its_holder_and_the_remedy(make_tiny: MakeTiny) -> None:
    tiny = make_tiny()
    with socket.create_server(("127.0.0.1", tiny.port_base + 1)):
        done = tiny.tradewind("up", "--detach")
    assert done.returncode == 1
    assert f"port {tiny.port_base + 1} (fix) is taken" in done.stdout
    assert f"(pid {os.getpid()})" in done.stdout
    assert "--port-base" in done.stdout
    assert "Traceback" not in done.stdout


def test_too_little_shared_memory_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = config.load({"data_dir": str(tmp_path)}, {})
    here.run_dir.mkdir()
    monkeypatch.setattr(preflight, "SHARED_MEMORY_BYTES_MIN", 1 << 60)  # more than any machine has
    with pytest.raises(StackError, match=r"MB free, and a desk needs \d+; .*--shm-size"):
        preflight.check_memory(here)
    here.run_dir.rmdir()


def kill_the_supervisor(tiny: TinyStack) -> None:
    supervisor = psutil.Process(tiny.processes()["shard"]["pid"]).ppid()
    os.kill(supervisor, signal.SIGKILL)
    eventually(tiny, lambda: not tiny.refresh()["ready"])


def test_what_a_killed_supervisor_left_goes_on_and_status_says_so(tiny: TinyStack) -> None:
    before = {name: process["pid"] for name, process in tiny.processes().items()}
    kill_the_supervisor(tiny)
    assert {name: process["pid"] for name, process in tiny.processes().items()} == before
    assert {process["state"] for process in tiny.status["processes"]} == {"left"}
    done = tiny.tradewind("status")
    assert done.returncode == 1
    assert "the supervisor was killed; what it left goes on" in done.stdout


def test_a_process_that_no_status_names_is_found_by_its_log(tiny: TinyStack) -> None:
    """As one that was started in the last moment of a supervisor, which could not say so any more."""
    pid = tiny.processes()["follower"]["pid"]
    kill_the_supervisor(tiny)
    path = tiny.data_dir / "run" / "status.json"
    said = json.loads(path.read_text())
    said["processes"] = [p for p in said["processes"] if p["name"] != "follower"]
    path.write_text(json.dumps(said))
    assert tiny.processes()["follower"]["pid"] == pid
    assert "stopped what was left" in tiny.tradewind("down").stdout
    assert start_time(pid) == 0
    assert "follower stopped" in tiny.events()


def test_what_was_left_and_will_not_stop_is_killed_and_named(tiny: TinyStack) -> None:
    (tiny.data_dir / "shard.will-not-stop").touch()
    pid = tiny.processes()["shard"]["pid"]
    kill_the_supervisor(tiny)
    done = tiny.tradewind("down")
    assert f"shard (pid {pid}) does not stop by itself; killed" in done.stdout
    assert start_time(pid) == 0
    assert tiny.events()[-1] == "follower stopped"


def test_a_role_whose_supervisor_dies_while_it_starts_serves_all_the_same(tiny: TinyStack) -> None:
    slow = tiny.data_dir / "follower.starts-slowly"
    slow.touch()
    old = tiny.kill("follower")
    eventually(tiny, lambda: tiny.processes()["follower"]["state"] == "starting")
    pid = tiny.processes()["follower"]["pid"]
    assert pid != old
    kill_the_supervisor(tiny)
    slow.unlink()
    eventually(tiny, lambda: tiny.events().count("follower serves") == 2)
    assert start_time(pid) != 0


def test_what_a_killed_supervisor_left_is_stopped_by_the_next_up(tiny: TinyStack) -> None:
    left = tiny.processes()["shard"]["pid"]
    kill_the_supervisor(tiny)
    done = tiny.tradewind("up", "--detach", *_words(tiny))
    assert done.returncode == 0, done.stdout
    assert f"shard (pid {left})" in done.stdout
    assert start_time(left) == 0
    assert tiny.refresh()["ready"] is True


def test_down_stops_what_a_killed_supervisor_left(tiny: TinyStack) -> None:
    left = tiny.processes()["shard"]["pid"]
    kill_the_supervisor(tiny)
    assert "stopped what was left" in tiny.tradewind("down").stdout
    assert start_time(left) == 0


def test_a_server_elsewhere_that_does_not_answer_is_named(make_tiny: MakeTiny) -> None:
    tiny = make_tiny()
    done = tiny.tradewind("up", "--nats-url", f"nats://127.0.0.1:{tiny.port_base + 9}")
    assert done.returncode == 1
    assert (
        f"TRADEWIND_NATS_URL names 127.0.0.1:{tiny.port_base + 9}, and nothing answers there" in done.stdout
    )


def eventually(tiny: TinyStack, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, tiny.status
        time.sleep(0.1)


def _words(tiny: TinyStack) -> list[str]:
    return [
        word for name, value in tiny.options.items() for word in (f"--{name.replace('_', '-')}", str(value))
    ]
