"""Orders through the compiled lines and through Python: the same bytes out, the same log, the same stores."""

from __future__ import annotations

import random
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fix import durable
from fix.codec import Framer
from fix.line.row import RX_BYTES, TX_BYTES
from fix.store import Store
from fix.timestamps import format_ns
from tests.fix.wire import SECOND_NS
from tests.gateways.direct_desk import Peer, StreetDesk

Told = tuple[bytes, bytes, list[Any], dict[str, Any]]
Story = Callable[[StreetDesk], None]

BUY = "11={name}|21=1|38=10|40=2|44=100|54=1|55=AAPL|59=0|60=<TIME>"
ACCEPTED = "6=0|11={order}|14=0|17={exec}|37=V|38=10|39=0|54=1|55=AAPL|60=<TIME>|150=0|151=10"
FILLED = (
    "6=99.98|11={order}|14={cum}|17={exec}|31=99.98|32={qty}|37=V|38=10|39={status}|54=1|55=AAPL|150=F"
    "|151={leaves}"
)
CANCEL = "11={name}|41={orig}|54=1|55=AAPL|60=<TIME>|38=10"


def told(folder: Path, story: Story, *, is_compiled: bool, **options: Any) -> Told:
    street = StreetDesk(folder, is_compiled=is_compiled, **options)
    street.log_on()
    assert street.desk.lent == (2 if is_compiled else 0), (
        "both sessions are lent as soon as they are established"
    )
    story(street)
    records = street.records()
    stores = street.close()
    return street.client.heard, street.venue.heard, records, stores


def same(tmp_path: Path, story: Story, reference: Story | None = None, **options: Any) -> Told:
    """Tells the story to both, and what the compiled lines made of it. `reference`: the same without fragments."""
    compiled = told(tmp_path / "compiled", story, is_compiled=True, **options)
    python = told(tmp_path / "python", reference or story, is_compiled=False, **options)
    for what, ours, theirs in zip(("client", "venue", "log", "stores"), compiled, python, strict=True):
        assert ours == theirs, what
    return compiled


def order(street: StreetDesk, name: str, body: str = BUY, cuts: tuple[int, ...] = ()) -> None:
    street.say(street.client, street.client.message("D", body.format(name=name), street.now_ns), cuts)


def accept(street: StreetDesk, number: int = -1) -> None:
    body = ACCEPTED.format(order=street.orders_heard()[number], exec=f"A{street.venue.seq}")
    street.say(street.venue, street.venue.message("8", body, street.now_ns))


def fill(street: StreetDesk, number: int = -1, qty: int = 4, cum: int = 4) -> None:
    body = FILLED.format(
        order=street.orders_heard()[number], exec=f"X{street.venue.seq}", qty=qty, cum=cum, leaves=10 - cum,
        status=2 if cum == 10 else 1,
    )  # fmt: skip
    street.say(street.venue, street.venue.message("8", body, street.now_ns))


def test_an_order_its_acceptance_and_its_fills_stay_with_the_compiled_lines(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        lent = street.desk.lent
        order(street, "A")
        accept(street)
        fill(street)
        fill(street, qty=6, cum=10)
        assert street.desk.lent == lent

    client, venue, _, _ = same(tmp_path, story)
    assert client.count(b"\x0135=8\x01") == 4
    assert venue.count(b"\x0135=D\x01") == 1


# --- what is not for compiled code goes to Python, and comes back -------------------------------------------------

ODD_ORDERS = {
    "an unknown symbol": BUY.replace("AAPL", "NONE"),
    "good till date": BUY.replace("59=0", "59=6|126=20271124-12:00:00.000"),
    "good till cancel": BUY.replace("59=0", "59=1"),
    "no time in force": BUY.replace("|59=0", ""),
    "market": BUY.replace("40=2|44=100", "40=1"),
    "market with a price": BUY.replace("40=2", "40=1"),
    "limit without a price": BUY.replace("|44=100", ""),
    "nine decimal places": BUY.replace("38=10", "38=10.000000001"),
    "zeros": BUY.replace("38=10", "38=0010.000"),
    "nothing": BUY.replace("38=10", "38=0"),
    "too much": BUY.replace("38=10", "38=2000"),
    "off the tick": BUY.replace("44=100", "44=99.995"),
    "a short sale": BUY.replace("54=1", "54=5"),
    "a sale of what is not held": BUY.replace("54=1", "54=2"),
    "its own account": f"1=TW000001|{BUY}",
    "another's account": f"1=TW000002|{BUY}",
    "a tag of its own": BUY.replace("|59=0", "|59=0|9001=x"),
    "a tag twice": BUY.replace("|59=0", "|59=0|59=0"),
    "no tag 55": BUY.replace("|55=AAPL", ""),
    "a group": BUY.replace("|55=AAPL", "|55=AAPL|453=1|448=A|447=D|452=1"),
    "text": BUY.replace("|59=0", "|58=hello|59=0"),
    "letters that are not ASCII": BUY.replace("{name}", "\xe9{name}"),
    "a long name": BUY.replace("{name}", "{name}" + "x" * 127),
    "a name that is too long": BUY.replace("{name}", "{name}" + "x" * 128),
    "a long symbol": BUY.replace("AAPL", "A" * 33),
}


def test_orders_of_every_kind_mean_the_same_to_both(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        for number, body in enumerate(ODD_ORDERS.values()):
            order(street, chr(ord("A") + number), body)
            order(street, f"then{number}")
            assert street.desk.lent in (0, 2), "the client comes back to the compiled lines"

    same(tmp_path, story)


ODD_REPORTS = {
    "pending": ACCEPTED.replace("150=0", "150=A"),
    "an end": ACCEPTED.replace("150=0", "150=4").replace("39=0", "39=4").replace("151=10", "151=0"),
    "no ExecID of ASCII": ACCEPTED.replace("17={exec}", "17=\xe9"),
    "somebody's order": ACCEPTED.replace("11={order}", "11=else"),
    "an order that never was": ACCEPTED.replace("11={order}", "11=TW000-999"),
    "zeros in front": ACCEPTED.replace("11={order}", "11=TW000-0999"),
    "an unknown status": ACCEPTED.replace("39=0", "39=z"),
    "no CumQty": ACCEPTED.replace("14=0|", ""),
    "a trade without a price": FILLED.replace("31=99.98|", ""),
    "a trade too small": FILLED.replace("32={qty}", "32=0.000000001"),
    "an average of many places": FILLED.replace("6=99.98", "6=99.98000000000001"),
    "another order in 41": ACCEPTED.replace("11={order}", "11={order}|41={order}"),
}


def test_reports_of_every_kind_mean_the_same_to_both(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        for number, body in enumerate(ODD_REPORTS.values()):
            order(street, f"N{number}")
            values = {
                "order": street.orders_heard()[-1],
                "exec": f"E{number}",
                "qty": 1,
                "cum": 1,
                "leaves": 9,
            }
            said = body.format(**values, status=1)
            street.say(street.venue, street.venue.message("8", said, street.now_ns))
            accept(street)

    same(tmp_path, story)


def _test_request(street: StreetDesk, peer: Peer) -> None:
    street.say(peer, peer.message("1", "112=ARE YOU THERE", street.now_ns))


def _gap(street: StreetDesk, peer: Peer) -> None:
    """It skips a number, and fills the gap when it is asked."""
    missing = peer.seq
    peer.seq += 1
    street.say(peer, peer.message("0", "", street.now_ns))
    street.say(peer, peer.message("4", f"43=Y|122=<TIME>|123=Y|36={missing + 1}", street.now_ns, seq=missing))


def _again(street: StreetDesk, peer: Peer) -> None:
    """A heartbeat that we have had, as a possible duplicate."""
    street.say(peer, peer.message("0", "43=Y|122=<TIME>", street.now_ns, seq=peer.seq - 1))


def _garbled(street: StreetDesk, peer: Peer) -> None:
    raw = peer.message("0", "", street.now_ns, seq=peer.seq)
    street.say(peer, raw[:-4] + b"999\x01")


def _resend(street: StreetDesk, peer: Peer) -> None:
    street.say(peer, peer.message("2", "7=1|16=0", street.now_ns))


def _reset(street: StreetDesk, peer: Peer) -> None:
    street.say(peer, peer.message("4", f"36={peer.seq + 5}", street.now_ns))
    peer.seq += 4


def _wrong_clock(street: StreetDesk, peer: Peer) -> None:
    stale = format_ns(street.now_ns - 200 * SECOND_NS)
    fresh = format_ns(street.now_ns)
    raw = peer.message("0", "", street.now_ns).decode("latin-1")
    from fix.codec import encode, parse

    fields = [(tag, stale if value == fresh else value) for tag, value in parse(raw.encode()).fields[2:-1]]
    street.say(peer, encode("FIX.4.4", fields))


def _unknown_type(street: StreetDesk, peer: Peer) -> None:
    street.say(peer, peer.message("B", "148=News|33=1|58=text", street.now_ns))


SESSION_EVENTS = (_test_request, _gap, _again, _garbled, _resend, _reset, _unknown_type)


@pytest.mark.parametrize("event", SESSION_EVENTS, ids=lambda event: event.__name__)
def test_a_session_comes_back_to_the_compiled_lines_after(
    tmp_path: Path, event: Callable[[StreetDesk, Peer], None]
) -> None:
    def story(street: StreetDesk) -> None:
        lent = street.desk.lent
        for peer in (street.client, street.venue):
            order(street, f"before{peer.name}")
            event(street, peer)
            order(street, f"after{peer.name}")
            accept(street)
        assert street.desk.lent == lent

    same(tmp_path, story)


def test_a_wrong_clock_ends_the_session_as_it_does_in_python(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        order(street, "A")
        _wrong_clock(street, street.client)
        assert street.client.messages[-1].type == "5"

    same(tmp_path, story)


def test_a_cancel_is_pythons_and_the_next_order_is_not(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        lent = street.desk.lent
        order(street, "A")
        accept(street)
        cancel = CANCEL.format(name="C1", orig="A")
        street.say(street.client, street.client.message("F", cancel, street.now_ns))
        name = street.venue.messages[-1].require(11)
        said = f"6=0|11={name}|41={street.orders_heard()[0]}|14=0|17=Q|37=V|39=4|54=1|55=AAPL|150=4|151=0"
        street.say(street.venue, street.venue.message("8", said, street.now_ns))
        assert street.desk.lent == lent
        order(street, "B")
        accept(street)

    same(tmp_path, story)


def test_heartbeats_and_test_requests_are_due_at_the_same_time(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        order(street, "A")
        for _ in range(12):
            street.pass_time(7)
            street.say(street.venue, street.venue.message("0", "", street.now_ns))
        assert street.desk.lent in (0, 1), "the client was silent for too long"

    same(tmp_path, story)


def test_a_client_over_its_pace_is_refused_by_the_door(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        for name in "ABCDE":
            order(street, name)
        street.pass_time(1)
        order(street, "F")

    client, _, _, _ = same(tmp_path, story, messages=3)
    assert client.count(b"\x01150=8\x01") == 2


def test_a_client_that_resets_its_connection_may_log_on_again(tmp_path: Path) -> None:
    def story(street: StreetDesk) -> None:
        lent = street.desk.lent
        order(street, "A")
        assert street.client.sock is not None
        half = street.client.message("D", BUY.format(name="B"), street.now_ns)
        street.client.sock.sendall(half[:50])
        street.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        street.client.sock.close()
        street.client.sock = None
        street.client.seq -= 1
        street.settle()
        accept(street)  # he is told of it after his next Logon
        street.connect_client()
        street.settle()
        order(street, "B")
        assert street.desk.lent in (lent, 1)

    same(tmp_path, story)


# --- fragments ----------------------------------------------------------------------------------------------------


def _for_each_cut(body: str, msg_type: str) -> tuple[Story, Story]:
    """The same message again and again, cut at each of its bytes; and uncut."""

    def story(street: StreetDesk, *, cut: bool) -> None:
        order(street, "O")
        length = len(
            street.client.message(msg_type, body.format(name="N000", orig="O"), street.now_ns, seq=99)
        )
        for at in range(1, length):
            text = body.format(name=f"N{at:03d}", orig="O")
            raw = street.client.message(msg_type, text, street.now_ns)
            street.say(street.client, raw, (at,) if cut else ())

    return (lambda street: story(street, cut=True)), (lambda street: story(street, cut=False))


def test_an_order_may_be_cut_at_every_byte(tmp_path: Path) -> None:
    same(tmp_path, *_for_each_cut(BUY, "D"))


def test_a_message_for_python_may_be_cut_at_every_byte(tmp_path: Path) -> None:
    same(tmp_path, *_for_each_cut("58={name}|148=News|33=1|58=text", "B"))


@pytest.mark.parametrize("seed", range(6))
def test_a_random_day_in_random_pieces_is_the_same_to_both(tmp_path: Path, seed: int) -> None:
    def story(street: StreetDesk, *, cut: bool) -> None:
        chance, pieces = random.Random(seed), random.Random(seed)
        for number in range(60):
            peer = chance.choice((street.client, street.venue))
            match chance.randrange(8):
                case 0 | 1 | 2:
                    body = chance.choice((BUY, BUY, *ODD_ORDERS.values())).format(name=f"R{number}")
                    raw = street.client.message("D", body, street.now_ns)
                    cuts = tuple(pieces.randrange(len(raw)) for _ in range(3)) if cut else ()
                    street.say(street.client, raw, cuts)
                case 3 | 4 if street.orders_heard():
                    accept(street, chance.randrange(len(street.orders_heard())))
                case 5 if street.orders_heard():
                    fill(street, chance.randrange(len(street.orders_heard())), 1, 1)
                case 6:
                    street.pass_time(chance.choice((0.5, 3, 29)))
                case _:
                    chance.choice(SESSION_EVENTS)(street, peer)

    same(tmp_path, lambda street: story(street, cut=True), lambda street: story(street, cut=False))


def test_many_orders_in_one_piece_are_all_taken(tmp_path: Path) -> None:
    """More than the row's buffer holds."""
    street = StreetDesk(tmp_path, is_compiled=True)
    street.log_on()
    pieces = [street.client.message("D", BUY.format(name=f"M{n}"), street.now_ns) for n in range(300)]
    assert len(b"".join(pieces)) > 2 * RX_BYTES
    street.say(street.client, b"".join(pieces))
    assert len(street.orders_heard()) == 300
    assert [m.get(11) for m in street.client.messages if m.type == "8"] == [f"M{n}" for n in range(300)]
    street.close()


# --- what has left is stored, and nothing grows without bound -----------------------------------------------------


def test_what_has_left_is_in_the_store(tmp_path: Path) -> None:
    """As a kill -9 at that moment would leave it: the file, as the kernel has it."""
    street = StreetDesk(tmp_path / "desk", is_compiled=True)
    street.log_on()
    for number in range(3):
        order(street, f"K{number}")
        accept(street)
        for peer, name in ((street.client, "clients/CLIENT"), (street.venue, "venue")):
            folder = tmp_path / f"{name}.{number}"
            shutil.copytree(tmp_path / "desk" / name, folder)
            store = Store(folder)
            heard = {m.seq: m.raw for m in peer.messages if m.type in "D8"}
            assert {each.seq: each.raw for each in store.read(1, store.next_out)} == heard
            assert (store.next_in, store.next_out) == (peer.seq, max(heard) + 1)
            store.close()
    street.close()


def test_a_client_that_does_not_read_is_cut_off_and_no_order_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "OUTGOING_BYTES_MAX", 2 * TX_BYTES)
    street = StreetDesk(tmp_path, is_compiled=True, messages=100_000)
    street.log_on()
    for ours in street._ours.values():
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listen, street.client.listen = street.client.listen, lambda: None  # type: ignore[method-assign]
    sent = 0
    while street.at_client.is_connected and sent < 20_000:
        piece = b"".join(
            street.client.message("D", BUY.format(name=f"S{n}"), street.now_ns)
            for n in range(sent, sent + 50)
        )
        try:
            street.say(street.client, piece)
        except OSError:
            break
        sent += 50
    assert not street.at_client.is_connected
    orders = len(street.orders_heard())
    street.client.listen = listen  # type: ignore[method-assign]
    assert 0 < orders <= sent
    told = street.close()
    kept = [raw for _, raw in told["clients/CLIENT"][2]]
    assert sum(b"\x01150=A\x01" in raw for raw in kept) == orders, "each is in the store, to be asked for"


def test_a_torn_reading_of_the_clients_bytes_is_no_message(tmp_path: Path) -> None:
    """What the client heard is whole messages, numbered without a gap."""
    street = StreetDesk(tmp_path, is_compiled=True)
    street.log_on()
    for number in range(20):
        order(street, f"T{number}")
    framer = Framer()
    framer.feed(street.client.heard)
    frames = list(framer)
    assert (framer.garbled, framer.rest()) == (0, b"")
    assert b"".join(frames) == street.client.heard
    assert [m.seq for m in street.client.messages] == list(range(1, len(frames) + 1))
    street.close()
