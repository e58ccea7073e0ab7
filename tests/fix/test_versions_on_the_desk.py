"""Orders of the whole desk at a venue that speaks FIX 4.2, or 5.0SP2 over FIXT.1.1: QuickFIX, which validates."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from fix.codec import Message
from fix.dictionary import _standard
from fix.durable import Outgoing
from fix.tags import MsgType, Tag
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.fix.quickfix_peer import QuickFix
from tests.stack import free_port_base

# As the shipped profiles of these versions, without their hours and credentials.
PROFILES = {
    "4.2": """
        versions = ["FIX.4.2"]
        extra = { header = [[57, "PROD"]], order = [[47, "A"]] }
        resend = { chunk_max = 2500 }
        validation = {}
        """,
    "5.0SP2": """
        versions = ["FIXT.1.1"]
        appl_version = "9"
        validation = {}
        """,
}
SETTINGS = {
    "4.2": {"BeginString": "FIX.4.2", "DataDictionary": str(_standard("FIX42"))},
    "5.0SP2": {
        "BeginString": "FIXT.1.1",
        "DefaultApplVerID": "FIX.5.0SP2",
        "TransportDataDictionary": str(_standard("FIXT11")),
        "AppDataDictionary": str(_standard("FIX50SP2")),
    },
}
KIND = (Tag.MsgType, Tag.ClOrdID, Tag.ExecType, Tag.OrdStatus)


class Street(FixDesk):
    """A desk whose venue is QuickFIX, which says what the test says."""

    quickfix: QuickFix

    def __init__(self, folder: Path, version: str) -> None:
        super().__init__(folder / "desk", free_port_base())
        self.version = version
        text = f'name = "the venue"\nabout = "speaks {version}"\n{PROFILES[version]}'
        (folder / "profile.toml").write_text(text)
        venue = folder / "venue.toml"
        venue.write_text(
            'profile = "profile.toml"\nsender = "TRADEWIND"\ntarget = "VENUE"\n'
            f'hosts = [{{ host = "127.0.0.1", port = {self.config.ports.venue} }}]\n'
        )
        venue.chmod(0o600)
        self.config = msgspec.structs.replace(self.config, venue_file=venue)
        self._executions = 0

    async def start_venue(self) -> None:
        settings = {**SETTINGS[self.version], "Answers": "N"}
        folder = self.folder.parent / "qf"
        shutil.rmtree(folder, ignore_errors=True)
        self.quickfix = await QuickFix.start(
            "acceptor", folder, self.config.ports.venue, "VENUE", "TRADEWIND", {}, settings
        )

    async def stop_venue(self) -> None:
        await self.quickfix.kill()

    def requests(self) -> list[Message]:
        """What the venue was told, but for questions: an order that goes while the desk logs on is asked about."""
        return [message for message in self.quickfix.heard if message.type != MsgType.OrderStatusRequest]

    async def hears(self, count: int) -> Message:
        """The venue's request number `count`."""
        await until(lambda: len(self.requests()) >= count, 60)
        return self.requests()[count - 1]

    def report(
        self, name: str, exec_type: str, status: str, done: int, last: int = 0, orig: str = ""
    ) -> Outgoing:
        """An ExecutionReport as this version has it, of an order for 10. `exec_type`: "F" is a trade."""
        self._executions += 1
        if self.version == "4.2":
            kind = [(20, "0"), (150, "1" if exec_type == "F" else exec_type)]
        else:
            kind = [(150, exec_type)]
        trade = [(32, str(last)), (31, "149.95")] if last else []
        ids = [(11, name), *([(41, orig)] if orig else [])]
        leaves = "0" if status in "248" else str(10 - done)
        return "8", [
            (37, "V7"), *ids, (17, f"X{self._executions}"), *kind, (39, status), (55, "AAPL"), (54, "1"), *trade,
            (151, leaves), (14, str(done)), (6, "149.95" if done else "0"),
        ]  # fmt: skip


@pytest.fixture(params=sorted(PROFILES))
async def street(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Street]:
    running = Street(tmp_path, request.param)
    async with running:
        yield running


@pytest.fixture
async def client(street: Street) -> Client:
    client = street.client()
    await client.logged_on()
    return client


async def test_an_order_is_acknowledged_filled_in_part_and_canceled_after_a_refused_cancel(
    street: Street, client: Client
) -> None:
    client.order("A")
    order = await street.hears(1)
    name = order.require(Tag.ClOrdID)
    assert [order.get(tag) for tag in (21, 38, 40, 44, 54, 55, 59)] == [
        "1",
        "10",
        "2",
        "150",
        "1",
        "AAPL",
        "0",
    ]
    assert (order.get(47), order.get(57)) == (("A", "PROD") if street.version == "4.2" else (None, None))
    street.quickfix.send(street.report(name, "0", "0", 0), street.report(name, "F", "1", 4, 4))
    await client.hears(3)
    client.cancel("C1", "A")
    asked = (await street.hears(2)).require(Tag.ClOrdID)
    refusal = [(37, "V7"), (11, asked), (41, name), (39, "1"), (434, "1"), (102, "0"), (58, "not now")]
    street.quickfix.send(("9", refusal))
    await client.hears(5)
    client.cancel("C2", "A")
    asked = (await street.hears(3)).require(Tag.ClOrdID)
    street.quickfix.send(street.report(name, "F", "6", 6, 2), street.report(asked, "4", "4", 6, orig=name))
    told = await client.hears(8)
    assert [client.line(message, *KIND) for message in told] == [
        "35=8 11=A 150=A 39=A",
        "35=8 11=A 150=0 39=0",
        "35=8 11=A 150=F 39=1",
        "35=8 11=C1 150=6 39=6",
        "35=9 11=C1 150=None 39=1",
        "35=8 11=C2 150=6 39=6",
        "35=8 11=A 150=F 39=6",
        "35=8 11=C2 150=4 39=4",
    ]
    assert client.line(told[-1], Tag.CumQty, Tag.LeavesQty, Tag.AvgPx) == "14=6 151=0 6=149.95"
    assert {message.type for message in street.requests()} == {"D", "F"}, "nothing was refused"
