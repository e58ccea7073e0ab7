"""The drop-copy door with QuickFIX as the compliance client, on a desk of real processes: every execution of its
accounts exactly once, over kill -9 of either side, and nothing that a client may do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from importlib import resources
from pathlib import Path

import pytest

from core import ids
from core.records import EventKind, ExecType
from fix import timestamps
from fix.codec import Message, encode, parse
from fix.store import Store
from fix.tags import MsgType, Tag
from gateways.identity import Credentials, IdentityError
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.fix.quickfix_peer import QuickFix, numbers_of
from tests.stack import free_port_base


def key(comp_id: str, accounts: object, secret: str = "a secret") -> dict[str, object]:
    return {
        "comp_id": comp_id,
        "key_id": f"KEY-{comp_id}",
        "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "accounts": accounts,
    }


# QuickFIX's own of FIX 4.4.
DICTIONARY = resources.files("fixcore") / "specs" / "FIX44.xml"
KEYS = (key("COMPLIANCE", ["TW000001"]), key("AUDIT", "all"), key("EARLY", ["TW000009"]))


class Listener:
    """One compliance client of QuickFIX, life after life, which validates what it hears by FIX 4.4's dictionary."""

    def __init__(self, desk: FixDesk, comp_id: str) -> None:
        self._desk, self._comp_id = desk, comp_id
        self.lives: list[QuickFix] = []

    async def start(self, secret: str = "a secret") -> QuickFix:
        logon = {int(Tag.Username): f"KEY-{self._comp_id}", int(Tag.Password): secret}
        folder, port = self._desk.folder / f"qf-{self._comp_id}", self._desk.config.ports.drop_copy
        settings = {"UseDataDictionary": "Y", "DataDictionary": str(DICTIONARY)}
        self.lives.append(
            await QuickFix.start("initiator", folder, port, self._comp_id, "TRADEWIND", logon, settings)
        )
        return self.lives[-1]

    def heard(self) -> list[Message]:
        return [message for life in self.lives for message in life.heard]

    def has_heard(self, cl_ord_id: str) -> bool:
        return any(message.get(Tag.ClOrdID) == cl_ord_id for message in self.lives[-1].heard)

    def executions(self) -> list[str]:
        """ExecIDs in the order in which they came, without those that came again and said so (43=Y)."""
        seen: list[str] = []
        for message in self.heard():
            exec_id = message.require(Tag.ExecID)
            if exec_id not in seen or not message.poss_dup:
                seen.append(exec_id)
        return seen


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[FixDesk]:
    async with FixDesk(tmp_path / "desk", free_port_base(), drop_copy=KEYS) as started:
        await started.start("drop_copy")
        yield started


def wanted(desk: FixDesk, accounts: set[int]) -> list[str]:
    """The executions of these accounts that the log has."""
    return [
        str(ids.execution_uuid(0, event.seq))
        for event in desk.events(EventKind.ORDER)
        if event.account in accounts and event.exec_type != ExecType.CANCEL_REJECT
    ]


async def test_each_execution_is_heard_once_whoever_is_killed(desk: FixDesk) -> None:
    ours, other = desk.client("ONE"), desk.client("TWO", key="KEY2")
    await asyncio.gather(ours.logged_on(), other.logged_on())
    compliance, audit = Listener(desk, "COMPLIANCE"), Listener(desk, "AUDIT")
    ours.order("before")  # and nobody listens yet
    quickfix = await compliance.start()
    await audit.start()
    sent = 0
    for killed in ("door", "listener", "door", "nobody"):
        for _ in range(15):
            sent += 1
            ours.order(f"A{sent}", OrderQty="2")
            other.order(f"B{sent}", OrderQty="2")
        await until(partial(desk.venue.has, 2 * sent + 1), 60)
        for listener in (compliance, audit):  # they listen, and then it happens in the middle of a stream
            await until(partial(listener.has_heard, f"A{sent}"), 60)
        for name in list(desk.venue.orders)[-20:]:
            desk.venue.fill(name, 1, "149.95")
        if killed == "door":
            await desk.kill("drop_copy")
            await desk.start("drop_copy")
        elif killed == "listener":
            await quickfix.kill()
            quickfix = await compliance.start()
    ours.cancel("C1", "A1")
    ours.order("poor", OrderQty="100000")
    for end in (("C1", "4"), ("poor", "8")):
        await until(partial(has_been_told, ours, *end), 60)
    mine, everyone = wanted(desk, {1}), wanted(desk, {1, 2})
    assert len(everyone) > 4 * sent
    await until(lambda: len(compliance.executions()) >= len(mine), 60)
    await until(lambda: len(audit.executions()) >= len(everyone), 60)
    assert compliance.executions() == mine
    assert audit.executions() == everyone
    assert all(message.get(Tag.CopyMsgIndicator) == "Y" for message in audit.heard())
    assert {message.require(Tag.Account) for message in compliance.heard()} == {"TW000001"}
    assert {m.require(Tag.ExecType) for m in compliance.heard()} >= set("A0F684")
    for listener, name in ((compliance, "COMPLIANCE"), (audit, "AUDIT")):
        await listener.lives[-1].kill()
        numbers = {message.seq: message.get(Tag.ExecID) for message in listener.heard()}
        assert all(numbers[m.seq] == m.get(Tag.ExecID) for m in listener.heard()), "a number for two things"
        counted = numbers_of(desk.folder / f"qf-{name}", name, "TRADEWIND")[1]
        assert counted > max(numbers), "QuickFIX counts on without a hole"
        await desk.terminate("drop_copy")
        store = Store(desk.config.data_dir / "fix" / "drop-copies" / name)
        stored = {sent.seq: parse(sent.raw).get(Tag.ExecID) for sent in store.read(1, store.next_out - 1)}
        store.close()
        await desk.start("drop_copy")
        assert stored == numbers


def has_been_told(client: Client, name: str, exec_type: str) -> bool:
    return any((m.get(Tag.ClOrdID), m.get(Tag.ExecType)) == (name, exec_type) for m in client.told)


async def test_a_client_can_only_listen(desk: FixDesk) -> None:
    listener = Listener(desk, "AUDIT")
    quickfix = await listener.start()
    await until(lambda: quickfix.is_logged_on, 60)
    order = [(11, "X"), (21, "1"), (38, "1"), (40, "1"), (54, "1"), (55, "AAPL"), (60, "20261124-12:00:00")]
    quickfix.send((MsgType.NewOrderSingle, order))
    await until(lambda: len(quickfix.heard) == 1, 60)
    (refusal,) = quickfix.heard
    assert (refusal.type, refusal.get(Tag.BusinessRejectReason)) == (MsgType.BusinessMessageReject, "3")
    assert refusal.get(Tag.Text) == "MsgType (35) 'D' is not taken: this session only listens"
    assert desk.events(EventKind.ORDER) == []
    await quickfix.kill()


# comp_id, username, secret, and why not
REFUSED = (
    ("COMPLIANCE", "KEY-COMPLIANCE", "a wrong secret", "Username (553) or Password (554) is wrong"),
    ("AUDIT", "KEY-COMPLIANCE", "a secret", "this key is of the session 'COMPLIANCE'"),
    ("AUDIT", "KEY1", "secret one", "send a drop-copy key's id"),
    ("EARLY", "KEY-EARLY", "a secret", "account 'TW000009' of this key is not opened; open it"),
)


async def test_a_logon_that_is_refused_says_why(desk: FixDesk) -> None:
    for comp_id, username, secret, why in REFUSED:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.config.ports.drop_copy)
        logon = [
            (35, "A"), (49, comp_id), (56, "TRADEWIND"), (34, "1"), (52, timestamps.format_ns(time.time_ns())),
            (98, "0"), (108, "30"), (553, username), (554, secret),
        ]  # fmt: skip
        writer.write(encode("FIX.4.4", logon))
        answer = parse(await reader.readuntil(b"\x0110=") + await reader.readexactly(4))
        assert answer.type == MsgType.Logout
        assert why in (answer.get(Tag.Text) or "")
        writer.close()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"accounts": "everything"},
            "accounts 'everything' of COMPLIANCE: give a list of account numbers, or \"all\"",
        ),
        ({"accounts": []}, "accounts of COMPLIANCE are 0; name 1 to 10000"),
        ({"accounts": [""]}, "an empty number; take it out"),
        ({"comp_id": "no spaces"}, "comp_id 'no spaces' is no CompID"),
        ({"secret_sha256": "secret"}, "give the 64 hex digits"),
        ({"account": "TW000001"}, "unknown field `account`"),
        ({"comp_id": "AUDIT"}, "comp_id 'AUDIT' twice"),
    ],
)
def test_a_key_that_can_not_be_used_is_named_with_the_remedy(
    tmp_path: Path, changed: dict[str, object], says: str
) -> None:
    path = tmp_path / "credentials.json"
    keys = [{**key("COMPLIANCE", "all"), **changed}, key("AUDIT", "all")]
    path.write_text(json.dumps({"credentials": [], "drop_copy": keys}))
    path.chmod(0o600)
    with pytest.raises(IdentityError) as raised:
        Credentials.load(path)
    assert says in str(raised.value)
