"""Take-over with whole hosts: from an owner that dies under load, that hands over, that wakes as a zombie."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.audit import Log
from tests.acceptance.desk import Trader, eventually, flowing
from tests.acceptance.wire import Wire
from tests.faults.desk import all_agree
from tests.faults.hosts import Hosts
from tests.faults.takeovers import runs

pytestmark = pytest.mark.faults

MANY, SOME = 60, 15
SYMBOL = "KO"


@pytest.fixture
def make_hosts(tmp_path: Path) -> Iterator[Callable[..., Hosts]]:
    made: list[Hosts] = []

    def make(**options: object) -> Hosts:
        hosts = Hosts(tmp_path, **options)  # type: ignore[arg-type]
        made.append(hosts)
        eventually(lambda: hosts.link().get("state") == "following", "the standby's following")
        return hosts

    yield make
    for hosts in made:
        hosts.discard()


def acknowledged(trader: Trader) -> set[str]:
    return {name for name, status in trader.answers.items() if status == 200}


def assert_the_new_owner_has(hosts: Hosts, names: set[str]) -> None:
    """Each acknowledged order exactly once, nothing at the venue that it does not know, no number used twice."""
    after = hosts.trader(hosts.standby)
    assert [name for name in names if not after.is_known(name)] == []
    log = Log(hosts.standby)
    created = [e for e in log.order_events if e.text in names and e.exec_type == ord("A")]
    assert len(created) == len({e.order_id for e in created}), "an order exists twice"
    wire = Wire(hosts.relay)
    wire.assert_nothing_is_doubled()
    known = {e.order_id for e in log.order_events}
    at_the_venue = {int(m[11].partition("-")[2].partition("R")[0]) for m in wire.new_orders}
    assert at_the_venue <= known, "the venue has orders that the new owner has not"


def has_quote(trader: Trader) -> bool:
    """Of a door that may not be open yet."""
    try:
        return trader.has_quote(SYMBOL)
    except httpx.HTTPError:
        return False


def assert_it_trades_on(hosts: Hosts) -> None:
    after = hosts.trader(hosts.standby)
    eventually(lambda: after.has_quote(SYMBOL), "a first quote at the new owner")
    eventually(lambda: after.send("buy", SYMBOL, 3) is not None, "an order that the new owner takes")
    after.filled("buy", SYMBOL, 3)
    Wire(hosts.relay).assert_nothing_is_doubled()


def test_an_owner_that_dies_under_load_is_taken_over_and_nothing_acknowledged_is_lost(
    make_hosts: Callable[..., Hosts],
) -> None:
    hosts = make_hosts(when_standby_away="degrade")
    trader = hosts.trader(hosts.owner)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    with flowing(trader) as flow:
        flow.wait_for_orders(MANY)
        hosts.signal_owner(signal.SIGKILL)
    answer = hosts.standby.take_over()
    eventually(lambda: hosts.standby.refresh()["ready"], "the new owner's doors")
    said = (hosts.standby.data_dir / "logs" / "shard.log").read_text()
    recovered = re.findall(r"recovered to seq (\d+): .*; state (\w+)", said)
    assert recovered == [(str(answer["seq"]), answer["state_hash"])], "replay, snapshot and standby agree"
    names = acknowledged(trader)
    assert len(names) > SOME
    assert_the_new_owner_has(hosts, names)
    assert_it_trades_on(hosts)


def test_an_owner_that_lives_hands_over_and_ends_with_its_code(make_hosts: Callable[..., Hosts]) -> None:
    hosts = make_hosts(gate="synced")
    trader = hosts.trader(hosts.owner)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    with flowing(trader) as flow:
        flow.wait_for_orders(SOME)
        # The owner's stack ends as a whole, and with it what stands for the world: only the log is looked at.
        answer = hosts.standby.tradewind("takeover", "--json")
    assert answer.returncode == 0, answer.stdout
    told = hosts.owner.data_dir / "logs" / "supervisor.log"
    eventually(lambda: "another host owns the shard" in told.read_text(), "the owner's end")
    owner, standby = Log(hosts.owner), Log(hosts.standby)
    ours = {e.text for e in standby.order_events}
    assert acknowledged(trader) <= ours
    last_epoch = owner.records[-1].epoch
    copied = [record for record in standby.records if record.epoch <= last_epoch]
    assert copied == owner.records[: len(copied)]


def test_a_zombie_owner_sends_nothing_after_it_wakes(make_hosts: Callable[..., Hosts]) -> None:
    hosts = make_hosts(when_standby_away="degrade")
    trader = hosts.trader(hosts.owner)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    with flowing(trader) as flow:
        flow.wait_for_orders(MANY)
    names = acknowledged(trader)
    status = hosts.owner.refresh()
    pids = hosts.signal_owner(signal.SIGSTOP)
    host, _, port = hosts.owner.rest.removeprefix("http://").partition(":")
    waiting = [_order_at(host, int(port), hosts.owner.headers, f"zombie-{n}") for n in range(5)]
    hosts.standby.take_over()
    eventually(lambda: hosts.standby.refresh()["ready"], "the new owner's doors")
    assert_it_trades_on(hosts)
    before = len(Wire(hosts.relay).new_orders)
    # The supervisor stays as it is: it would stop the venue too.
    hosts.signal_owner(signal.SIGCONT, with_supervisor=False)
    doors = {p["name"]: p["pid"] for p in status["processes"]}
    for name in ("shard", "fix", "gateway", "replicator", "publisher"):
        eventually(lambda pid=doors[name]: not runs(pid), f"the end of the zombie's {name}")  # type: ignore[misc]
    assert [answer for answer in map(_read, waiting) if b" 200 " in answer] == []
    said = (hosts.owner.data_dir / "logs" / "fix.log").read_text()
    assert "the lease on this shard is over" in said
    assert not [m for m in Wire(hosts.relay).new_orders[before:] if "zombie" in str(m)]
    assert pids
    assert_the_new_owner_has(hosts, names)
    after = hosts.trader(hosts.standby)
    assert [name for name in (f"zombie-{n}" for n in range(5)) if after.is_known(name)] == []


def _order_at(host: str, port: int, headers: dict[str, str], name: str) -> socket.socket:
    """An order that lies in the stopped gateway's socket."""
    body = (
        f'{{"symbol":"{SYMBOL}","qty":"1","side":"buy","type":"market","time_in_force":"day",'
        f'"client_order_id":"{name}"}}'
    )
    lines = [f"POST /v2/orders HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", body]
    connection = socket.create_connection((host, port))
    connection.sendall("\r\n".join(lines).encode())
    return connection


def _read(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    with connection:
        try:
            return connection.recv(65_536)
        except OSError:
            return b""


def test_a_standby_takes_over_by_itself_when_owner_and_lease_are_gone(
    make_hosts: Callable[..., Hosts],
) -> None:
    hosts = make_hosts(takeover_after_ms=2000)
    trader = hosts.trader(hosts.owner)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    order = trader.filled("buy", SYMBOL, 2)
    hosts.signal_owner(signal.SIGKILL)
    eventually(lambda: "THIS HOST OWNS SHARD" in _said(hosts), "the take-over")
    eventually(lambda: hosts.standby.refresh()["ready"], "the new owner's doors")
    assert hosts.trader(hosts.standby).is_known(order["client_order_id"])
    # The former owner may not start again: the row says whose the shard is.
    again = hosts.owner.tradewind("up", *_words(hosts), timeout=600)
    assert again.returncode == 77, again.stdout


def _said(hosts: Hosts) -> str:
    return (hosts.standby.data_dir / "logs" / "standby.log").read_text()


def _words(hosts: Hosts) -> list[str]:
    return [w for k, v in hosts.owner.options.items() for w in (f"--{k.replace('_', '-')}", str(v))]


def test_without_a_database_an_operators_word_takes_over_and_the_database_learns_it_later(
    make_hosts: Callable[..., Hosts],
) -> None:
    hosts = make_hosts(when_standby_away="degrade")
    trader = hosts.trader(hosts.owner)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    roles = {p["name"]: p["pid"] for p in hosts.owner.refresh()["processes"]}
    with flowing(trader) as flow:
        flow.wait_for_orders(SOME)
        hosts.stop_postgres()
        flow.wait_for_orders(SOME)
        hosts.signal_owner(signal.SIGSTOP)
    refused = hosts.standby.tradewind("takeover")
    assert refused.returncode != 0
    assert "see --without-postgres" in refused.stdout
    hosts.standby.take_over("--without-postgres")
    after = hosts.trader(hosts.standby)
    eventually(lambda: has_quote(after), "a first quote at the new owner")
    assert_it_trades_on(hosts)
    hosts.signal_owner(signal.SIGCONT, with_supervisor=False)
    for name in ("fix", "gateway", "publisher"):
        eventually(lambda pid=roles[name]: not runs(pid), f"the end of the zombie's {name}")  # type: ignore[misc]
    hosts.start_postgres()
    eventually(lambda: not runs(roles["shard"]), "the end of the zombie's shard, which the database tells")
    eventually(lambda: hosts.standby.refresh()["ready"], "the new owner's followers")
    said = hosts.standby.data_dir / "logs" / "shard.log"
    eventually(lambda: "the database is back, and knows now" in said.read_text(), "the row")
    assert_the_new_owner_has(hosts, acknowledged(trader))
    after.cancel_all()
    all_agree(hosts.standby)


def test_without_the_standby_orders_are_refused_with_a_code_and_cancels_are_not(
    make_hosts: Callable[..., Hosts],
) -> None:
    hosts = make_hosts()
    trader = hosts.trader(hosts.owner)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    order = trader.filled("buy", SYMBOL, 1)
    hosts.standby.tradewind("down")

    def refusal() -> str:
        body = {"symbol": SYMBOL, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
        answer = httpx.post(
            f"{hosts.owner.rest}/v2/orders", json=body, headers=hosts.owner.headers, timeout=30
        )
        return answer.text if answer.status_code == 503 else ""

    eventually(lambda: "code 541" in refusal(), "the refusal")
    assert hosts.link()["state"] == "away"
    hosts.standby.start()
    eventually(lambda: hosts.link().get("state") == "following", "the standby's return")
    eventually(lambda: refusal() == "", "an order that is taken again")
    assert trader.is_known(order["client_order_id"])
