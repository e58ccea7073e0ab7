"""The benchmarks run, at counts so small that no figure means anything, and their own checks hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from loadtests import decision, desk, memory, peers, recovery, replay, ring, ticks, wire, wire_desk
from loadtests.measure import Row, row, show

KEYS = {"what", "unit", "ours", "limit", "peer", "ratio_to_limit", "ratio_to_peer", "spread"}


@pytest.fixture(autouse=True)
def a_folder_for_logs_and_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def few_orders(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    for name, value in {
        "ROUNDS": 1, "FEW": 1000, "SOME": 2000, "MANY": 4000, "ORDERS": 500, "FLUSHED_ORDERS": 500,
    }.items():  # fmt: skip
        monkeypatch.setattr(decision, name, value)
    return decision.bench()


def few_commands(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    for name, value in {"ROUNDS": 1, "ACCOUNTS": 1000, "ORDERS": 500}.items():
        monkeypatch.setattr(replay, name, value)
    return replay.bench()


def few_recoveries(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    for name, value in {
        "ROUNDS": 1, "COMMANDS": 6000, "ACCOUNTS": 500, "MANY": 3000, "TAIL": 400, "BATCH": 1000,
    }.items():  # fmt: skip
        monkeypatch.setattr(recovery, name, value)
    return [*recovery.commands_replayed(), *recovery.accounts_restored()]


def few_ticks(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    monkeypatch.setattr(ticks, "ROUNDS", 1)
    monkeypatch.setattr(ticks, "BATCHES", 1)
    return ticks.bench()


def few_wires(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    for name, value in {"ROUNDS": 1, "WARM_UP": 5, "ORDERS": 50}.items():
        monkeypatch.setattr(wire, name, value)
    return wire_desk.bench()


@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        (few_orders, {"orders_per_s", "orders_per_s_zipf", "orders_per_s_flushed", "cost_growth"}),
        (few_commands, {"replay_per_s"}),
        (
            few_recoveries,
            {"recover_replay", "recover_after_kill", "recover_after_reboot", "recover_accounts"},
        ),
        (few_ticks, {"ticks_per_s"}),
        pytest.param(
            few_wires,
            {"order_wire_p50", "order_wire_p99", "report_wire_p50", "relay_order_wire_p50"},
            marks=pytest.mark.faults,  # the loop is compiled for it: 40 s; `tests/gateways` has it whole
        ),
    ],
)
def test_a_benchmark_runs_and_prints_a_row_a_line(
    run: Callable[[pytest.MonkeyPatch], list[Row]],
    wanted: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = run(monkeypatch)
    assert wanted <= {found.what for found in rows}
    capsys.readouterr()
    show("", rows, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(rows)
    assert all(line.keys() >= KEYS and line["ours"] > 0 for line in lines)


def test_an_account_takes_the_memory_that_its_layouts_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ACCOUNTS", (1 << 12) // memory.OPEN_ORDERS)
    assert memory.measured() == pytest.approx(memory.computed(), rel=0.05)


def test_as_many_accounts_fit_as_fill_the_budget_and_not_one_more() -> None:
    budget = 1 << 30
    most = memory.most_accounts(budget)
    assert memory.tables_bytes(most) <= budget < memory.tables_bytes(most + 1)


def test_records_from_the_rings_benchmark_all_arrive() -> None:
    found = ring.ours(hops=50, messages=5000)
    assert min(found) > 0


@pytest.mark.parametrize("peer", peers.PEERS)
def test_a_peer_is_measured_or_said_to_be_missing(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HOPS", 20)
    monkeypatch.setattr(peers, "MESSAGES", 200)
    found = peers.PEERS[peer]()
    if found is None:
        pytest.skip(f"{peer} is not installed; `make bench` installs it")
    assert min(found) > 0


def test_zipf_gives_the_first_rank_its_share_and_uniform_none() -> None:
    accounts, orders = 1000, 100_000
    weights = np.arange(1, accounts + 1) ** -desk.ZIPF_EXPONENT
    for zipf, share in ((True, weights[0] / weights.sum()), (False, 1 / accounts)):
        drawn, instruments = desk.draw(accounts, orders, seed=1, zipf=zipf)
        assert drawn.min() >= 1 <= instruments.min()
        assert drawn.max() <= accounts
        counts = np.bincount(drawn)
        assert counts.max() / orders == pytest.approx(share, rel=0.5 if not zipf else 0.05)


def test_the_clients_order_ids_differ() -> None:
    everyone = np.arange(1, 5001)
    feed = desk.orders_feed(everyone, everyone, seed=1)
    texts = {bytes(row_.tobytes()[-16:]) for row_ in feed.words}
    assert len(texts) == len(everyone)
    assert all(text.isascii() for text in texts)


def test_ratios_are_those_of_the_rounds_not_of_the_medians() -> None:
    found = row("x", "ns", [1.0, 4.0, 9.0], limit=[1.0, 2.0, 3.0])
    assert (found.ours, found.limit, found.ratio_to_limit) == (4.0, 2.0, 2.0)
    assert msgspec.json.decode(msgspec.json.encode(found))["spread"] == [1.0, 9.0]
