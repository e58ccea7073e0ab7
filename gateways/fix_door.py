"""The client FIX door: orders and cancels of FIX clients into the shard's rings, its events back as reports.

A client logs on with Username (553) and Password (554) = key id and secret. A key is for one account, and an
account has one session here: the CompID that it first logged on with.

Always holds here:
- Nothing reaches a ring that is not well formed; a client is told the tag, the value and the remedy.
- A cancel waits for room in its ring and for the order it names to be in the shard; it is never refused for
  either. A new order that finds its ring full is rejected.
- At the limit of its key's throttle a client's new orders are refused with the limit and the count; cancels pass.
- Where its key says so, the open orders of a session that drops are cancelled after a grace
  (`gateways/cancel_on_disconnect.py`), also when this process was killed with it.
- What a client hears about an order is what the log says, each event once: the position in the log is stored
  with the reports made of it, in one append of the session's store.

A kill -9: an order is pushed first and stored as taken after, so one that was pushed just before the kill is
sent again by the client. Its request_id is made of the account, the count of resets and its MsgSeqNum, so it
is the same again: if the log has it already (`catch_up` reads to the end before anyone may log on), it is not
pushed again; if the shard takes it twice all the same, it rejects the second as a duplicate of an order with
the very same request_id, and that reject is not passed on.

Must not do: check risk, or answer before the log does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.view import OrderView, StateBusy, StateView
from core import commands, events
from core.events import Event
from core.records import EventKind, ExecType, Source
from core.rejects import Reject
from fix.acceptor import Acceptor
from fix.codec import Message, MissingTag
from fix.durable import Busy, DurableSession, Outgoing, SessionKey
from fix.tags import BusinessReason, CxlRejReason, MsgType, OrdRejReason, Tag
from fix.throttle import Throttle
from gateways import fix_fates, fix_wire
from gateways.cancel_on_disconnect import DroppedSessions
from gateways.fix_request_ids import cancel_request_id, request_id_of
from gateways.fix_rules import FixRules, check_pace
from gateways.fix_wire import Refusal
from gateways.order_events import account_text_of, changed_nothing, is_echo, symbol_of
from gateways.order_figures import ENDED
from shared_mem.log_reader import Record
from shared_mem.ring import Ring

log = logging.getLogger(__name__)

# Orders of one session that the shard has not answered yet; then its socket waits. More than a ring holds.
UNANSWERED_MAX: Final = 10_000
# Cancels of one session under way whose ClOrdID is remembered. One that finds no place is answered with the
# order's ClOrdID in its stead; it is sent to the shard all the same.
CANCELS_MAX: Final = 500
# Records after which every session's cursor is stored though nothing concerned it: what a restart reads
# again.
CURSOR_LAG_RECORDS_MAX: Final = 4096

_NS_PER_MS: Final = 1_000_000

NOT_ARMED: Final = -1

# The shard's answers to what went into the orders' ring.
_ANSWERS: Final = (
    ExecType.PENDING_NEW, ExecType.REJECTED, ExecType.PENDING_REPLACE, ExecType.REPLACE_REJECT,
)  # fmt: skip
_REFUSALS: Final = (ExecType.CANCEL_REJECT, ExecType.REPLACE_REJECT)
# What others may do to an order that came through this door: its owner's other doors, timers, and whoever resolves
# one of unknown fate.
_BY_OTHERS: Final = (
    ExecType.PENDING_CANCEL, ExecType.PENDING_REPLACE, ExecType.EXPIRED, ExecType.CANCELED, ExecType.TRADE,
)  # fmt: skip


class Cancel(msgspec.Struct, array_like=True):
    """A cancel or replace under way: which order, and the client's names for the request and the order."""

    order_id: int
    cl_ord_id: str
    orig_cl_ord_id: str
    is_replace: bool = False


class Client(msgspec.Struct, array_like=True):
    """What is stored with a session: its account, its place in the log, its cancels under way by
    request_id, the grace of its open orders while a drop would cancel them (NOT_ARMED: it would not), and its orders
    of unknown fate that it was told of."""

    account: int
    cursor: int
    cancels: dict[int, Cancel]
    grace_ms: int = NOT_ARMED
    doubts: list[int] = []


class FixDoor:
    """The application of the acceptor. `view` gives the shard's state as it is now, also after its
    restart."""

    def __init__(
        self,
        *,
        shard: int,
        authenticate: Callable[[str, str], int | None],
        rules_of: Callable[[str], FixRules],
        view: StateView,
        orders: Ring,
        cancels: Ring,
        refusal: Callable[[], str] = lambda: "",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._shard = shard
        self._refusal = refusal  # why no order is taken now (gateways/standby_watch.py)
        self._authenticate = authenticate
        self._rules_of = rules_of
        self._view = view
        self._orders = orders
        self._cancels = cancels
        self._clock = clock
        # What a throttle counts by: a clock that is set back must not shut a client out for so long.
        self._steady = time.monotonic_ns if clock is time.time_ns else clock
        self._acceptor: Acceptor | None = None
        self.clients: dict[str, Client] = {}  # by CompID
        self._comp_ids: dict[int, str] = {}  # by account
        # By account: ClOrdIDs pushed, of which the log says nothing yet.
        self.unanswered: dict[int, set[str]] = {}
        self._admitted: dict[str, tuple[int, FixRules]] = {}
        self._rules: dict[str, FixRules] = {}  # by CompID, of its last Logon
        self.throttles: dict[str, Throttle] = {}  # by CompID
        self._dropped = DroppedSessions(view, cancels, cancel_request_id)
        self._answered_early: set[int] = set()  # request_ids in the log of orders not yet stored as taken
        self._position = 0
        self._passed = 0

    # --- sessions ---------------------------------------------------------------------------------------

    def attach(self, acceptor: Acceptor) -> int | None:
        """Takes up the sessions that have logged on before. Returns the position in the log to go on at; None
        when there is no session yet, then `begin_at` says where."""
        self._acceptor = acceptor
        for session in acceptor.sessions():
            if session.state:
                client = msgspec.msgpack.decode(session.state, type=Client)
                self._take_up(session.key.target, client)
                if client.grace_ms != NOT_ARMED:  # it was on when this process died
                    self._dropped.dropped(client.account, client.grace_ms * _NS_PER_MS, self._clock())
        if not self.clients:
            return None
        self._position = min(client.cursor for client in self.clients.values())
        return self._position

    @property
    def cursor(self) -> int:
        """Where a restart would go on reading the log: what stands before it is needed no more."""
        return min((client.cursor for client in self.clients.values()), default=self._position)

    def begin_at(self, position: int) -> None:
        """Where the log is when there is no session yet: what happened before concerns no client."""
        self._position = position

    def admit(self, key: SessionKey, logon: Message) -> str | None:
        """The reason why this Logon is refused, or None."""
        name = key.target
        account = self._authenticate(logon.get(Tag.Username) or "", logon.get(Tag.Password) or "")
        if account is None:
            return "Username (553) or Password (554) is wrong; send an API key's id and its secret"
        owner = self._comp_ids.get(account, name)
        if owner != name:
            return f"the account of this key has the session {owner!r}; log on with that SenderCompID (49)"
        client = self.clients.get(name)
        if client is not None and client.account != account:
            return f"SenderCompID (49) {name!r} is the session of another account; use one of your own"
        self._admitted[name] = account, self._rules_of(logon.get(Tag.Username) or "")
        return None

    def on_logon(self, session: DurableSession) -> None:
        name = session.key.target
        admitted = self._admitted.pop(name, None)
        if admitted is None:
            return
        account, rules = admitted
        is_new = name not in self.clients
        if is_new:
            self._take_up(name, Client(account, self._position, {}))
        if self._rules.get(name) != rules:
            self._rules[name] = rules
            self.throttles[name] = Throttle(rules.messages, rules.window_ms * _NS_PER_MS)
        self._dropped.back(account)
        self._arm(session, NOT_ARMED if rules.cancel_on == "never" else rules.grace_ms, is_new)

    def on_logout(self, session: DurableSession) -> None:
        name = session.key.target
        rules, client = self._rules.get(name), self.clients.get(name)
        if rules is None or client is None or client.grace_ms == NOT_ARMED:
            return
        if session.ended_in_order and rules.cancel_on != "end":
            self._arm(session, NOT_ARMED)
        else:
            self._dropped.dropped(client.account, client.grace_ms * _NS_PER_MS, self._clock())

    def tick(self) -> None:
        """Several times a second: cancels what sessions left open that have not come back in time."""
        for account in self._dropped.due(self._clock()):
            if self.unanswered[account]:
                continue  # on its way to the shard: a cancel would not find it
            try:
                asked = self._dropped.cancel_all(account)
            except StateBusy:
                continue  # its shard is being restarted
            if asked is not None:
                name = self._comp_ids[account]
                log.warning("%s has not come back: %d open orders are being cancelled", name, asked)
                self._arm(self._session(name), NOT_ARMED)

    def _arm(self, session: DurableSession, grace_ms: int, is_new: bool = False) -> None:
        client = self.clients[session.key.target]
        if is_new or client.grace_ms != grace_ms:
            client.grace_ms = grace_ms
            session.send([], state=msgspec.msgpack.encode(client))

    def _take_up(self, name: str, client: Client) -> None:
        self.clients[name] = client
        self._comp_ids[client.account] = name
        self.unanswered[client.account] = set()

    # --- in ---------------------------------------------------------------------------------------------

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        client = self.clients[session.key.target]
        try:
            if message.type == MsgType.NewOrderSingle:
                return self._new_order(session, client, message)
            if message.type == MsgType.OrderCancelReplaceRequest:
                return self._replace(session, client, message)
            if message.type == MsgType.OrderCancelRequest:
                answers = self._cancel(session, client, message)
                self.throttles[session.key.target].count(self._steady())
                return answers
        except MissingTag as missing:
            reason = BusinessReason.CONDITIONALLY_REQUIRED_FIELD_MISSING
            return [fix_wire.business_reject(message, reason, str(missing))]
        except StateBusy as busy:
            raise Busy(str(busy)) from busy
        if message.type in (MsgType.Reject, MsgType.BusinessMessageReject):
            log.warning("%s refuses a message of ours: %r", session.key.target, message)
            return []
        text = (
            f"MsgType (35) {message.type!r} is not supported; send D (new order), F (cancel) or G (replace)"
        )
        return [fix_wire.business_reject(message, BusinessReason.UNSUPPORTED_MESSAGE_TYPE, text)]

    def _new_order(self, session: DurableSession, client: Client, message: Message) -> list[Outgoing]:
        request_id = request_id_of(client.account, session.generation, message.seq)
        if request_id in self._answered_early:
            self._answered_early.discard(request_id)
            return []
        throttle = self.throttles[session.key.target]
        unanswered = self.unanswered[client.account]
        if len(unanswered) >= UNANSWERED_MAX:
            raise Busy(f"{UNANSWERED_MAX} orders of {session.key.target} are unanswered")
        try:
            check_pace(throttle, self._steady())
            order = fix_wire.read_order(message)
            self._check_account(client, message)
            instrument = self._view.instrument_by_symbol(order.symbol) if order.symbol.isascii() else None
            if instrument is None:
                text = f"Symbol (55) {order.symbol[:40]!r} is not traded here"
                raise Refusal(text, OrdRejReason.UNKNOWN_SYMBOL)
            command = commands.new_order(
                source=Source.FIX_CLIENT,
                request_id=request_id,
                account=client.account,
                instrument=instrument.instrument,
                side=order.side,
                ord_type=order.ord_type,
                tif=order.tif,
                qty_e8=order.qty_e8,
                price_e8=order.price_e8,
                client_order_id=order.client_order_id,
                expire_time_ns=order.expire_time_ns,
            )
            self._push_order(session, command)
        except Refusal as no:
            exec_id = f"R{request_id}"
            return [fix_wire.order_refused(message, exec_id, no.reason, str(no), self._clock())]
        throttle.count(self._steady())
        unanswered.add(order.client_order_id)
        return []

    def _push_order(self, session: DurableSession, command: bytes) -> None:
        why = self._refusal() or ("the disk is full" if session.is_short_of_disk else "")
        if not why and not self._orders.try_push(command):
            why = f"the desk is full: {self._orders.capacity} orders wait"
        if why:
            raise Refusal(f"{why}; nothing was done, send it again", OrdRejReason.BROKER_OPTION)

    def _check_account(self, client: Client, message: Message) -> None:
        named = message.get(Tag.Account)
        if named is not None and named != account_text_of(self._view, client.account):
            text = f"Account (1) {named[:40]!r} is not this session's; leave it out, or send your own"
            raise Refusal(text, OrdRejReason.UNKNOWN_ACCOUNT)

    def _cancel(self, session: DurableSession, client: Client, message: Message) -> list[Outgoing]:
        cl_ord_id = message.require(Tag.ClOrdID)
        orig, order = self._order_named(client, message)
        if order is None:
            return [fix_wire.cancel_refused(message, _not_known(orig), self._clock())]
        request_id = request_id_of(client.account, session.generation, message.seq)
        command = commands.cancel(
            source=Source.FIX_CLIENT, request_id=request_id, account=client.account, order_id=order.order_id
        )
        if not self._cancels.try_push(command):
            raise Busy(f"the ring of cancels is full ({self._cancels.capacity})")
        self._keep(session, client, request_id, Cancel(order.order_id, cl_ord_id, orig))
        return []

    def _replace(self, session: DurableSession, client: Client, message: Message) -> list[Outgoing]:
        """Into the orders' ring: a replace may ask for more than there was."""
        request_id = request_id_of(client.account, session.generation, message.seq)
        if request_id in self._answered_early:
            self._answered_early.discard(request_id)
            return []
        throttle, unanswered = self.throttles[session.key.target], self.unanswered[client.account]
        if len(unanswered) >= UNANSWERED_MAX:
            raise Busy(f"{UNANSWERED_MAX} orders of {session.key.target} are unanswered")
        orig, order = self._order_named(client, message)
        if order is None:
            return [fix_wire.cancel_refused(message, _not_known(orig), self._clock())]
        try:
            check_pace(throttle, self._steady())
            wanted = fix_wire.read_order(message)
            self._check_account(client, message)
            fix_wire.check_same(wanted, order, symbol_of(self._view, order.instrument))
            command = commands.replace(
                source=Source.FIX_CLIENT,
                request_id=request_id,
                account=client.account,
                instrument=order.instrument,
                order_id=order.order_id,
                client_order_id=wanted.client_order_id,
                qty_e8=wanted.qty_e8,
                price_e8=wanted.price_e8,
                tif=wanted.tif,
                expire_time_ns=wanted.expire_time_ns,
            )
            self._push_order(session, command)
        except Refusal as no:
            return [fix_wire.cancel_refused(message, str(no), self._clock(), CxlRejReason.OTHER)]
        throttle.count(self._steady())
        unanswered.add(wanted.client_order_id)
        replaces = Cancel(order.order_id, wanted.client_order_id, orig, is_replace=True)
        self._keep(session, client, request_id, replaces)
        return []

    def _order_named(self, client: Client, message: Message) -> tuple[str, OrderView | None]:
        """OrigClOrdID, and the order that has or had this name. Busy while it is on its way to the shard."""
        orig = message.require(Tag.OrigClOrdID)
        if orig in self.unanswered[client.account]:
            raise Busy(f"the order {orig!r} is on its way to the shard")
        return orig, self._view.order_by_client_id(client.account, orig) if orig.isascii() else None

    def _keep(self, session: DurableSession, client: Client, request_id: int, request: Cancel) -> None:
        if len(client.cancels) < CANCELS_MAX:
            client.cancels[request_id] = request
            session.remember(msgspec.msgpack.encode(client))

    # --- out --------------------------------------------------------------------------------------------

    def follow(self, records: list[Record]) -> None:
        """Reports what these records say, to those whom it concerns, each session with one append."""
        if not records:
            return
        reports: dict[str, list[Outgoing]] = {}
        for record in records:
            if record.kind == EventKind.ORDER:
                self._report(
                    events.decode(record.seq, record.time_ns, record.payload), record.position, reports
                )
        self._position = records[-1].next_position
        self._passed += len(records)
        names = set(reports)
        if self._passed >= CURSOR_LAG_RECORDS_MAX:
            self._passed = 0
            names = set(self.clients)
        for name in sorted(names):
            client, session = self.clients[name], self._session(name)
            if client.cursor < self._position:
                client.cursor = self._position
                session.send(reports.get(name, []), state=msgspec.msgpack.encode(client))

    def _session(self, name: str) -> DurableSession:
        assert self._acceptor is not None, "attach comes first"
        session = self._acceptor.session(name)
        assert session is not None, "a client has a session"
        return session

    def _report(self, event: Event, position: int, reports: dict[str, list[Outgoing]]) -> None:
        name = self._comp_ids.get(event.account)
        if name is None:
            return
        client = self.clients[name]
        if position < client.cursor:
            return  # told before the restart
        if event.source == Source.FIX_CLIENT:
            self._note_answer(name, event)
        if not self._concerns(client, event):
            return
        report = self._report_of(client, event)
        if report is not None:
            reports.setdefault(name, []).append(report)

    def _note_answer(self, name: str, event: Event) -> None:
        if event.exec_type not in _ANSWERS:
            return
        asked = self.clients[name].cancels.get(event.request_id)
        self.unanswered[event.account].discard(event.text if asked is None else asked.cl_ord_id)
        session = self._session(name)
        if event.request_id >= request_id_of(event.account, session.generation, session.next_in):
            self._answered_early.add(event.request_id)

    def _concerns(self, client: Client, event: Event) -> bool:
        """Whether it is about an order, or a cancel, that came through this door."""
        if event.source == Source.FIX_CLIENT:
            return True
        if any(cancel.order_id == event.order_id for cancel in client.cancels.values()):
            return event.exec_type not in _REFUSALS or event.reject_code == Reject.VENUE_REJECTED
        if event.exec_type in _REFUSALS:
            return False  # of somebody else's request
        order = self._view.order(event.order_id) if event.exec_type in _BY_OTHERS else None
        return order is not None and order.source == Source.FIX_CLIENT

    def _report_of(self, client: Client, event: Event) -> Outgoing | None:
        if event.exec_type in _REFUSALS:
            cancel = self._end_cancel(client, event)
            if cancel is None and event.request_id == cancel_request_id(event.account, event.order_id):
                return None  # of a cancel that the door made, when the session dropped
            if cancel is None and event.reject_code == Reject.VENUE_REJECTED:
                return None  # of a cancel that came by another door
            cl_ord_id = None if cancel is None else cancel.cl_ord_id
            orig = event.text or (cancel.orig_cl_ord_id if cancel is not None else fix_wire.NO_ID)
            return fix_wire.cancel_reject(self._shard, event, cl_ord_id, orig)
        text = fix_fates.text_of(client.doubts, event)
        if text is None and (changed_nothing(event) or is_echo(self._view, event)):
            return None
        fix_fates.told(client.doubts, event)
        asked = self._cancel_of(client, event)
        symbol = symbol_of(self._view, event.instrument)
        account = account_text_of(self._view, event.account)
        was = self._name_before(client, event)
        report = fix_wire.execution_report(self._shard, event, account, symbol, asked, was, text)
        if event.ord_status in ENDED:
            ended = [key for key, cancel in client.cancels.items() if cancel.order_id == event.order_id]
            for request_id in ended:
                del client.cancels[request_id]
        return report

    def _cancel_of(self, client: Client, event: Event) -> str | None:
        """ClOrdID of the client's request that this report answers: its own, or the last cancel under way."""
        if event.exec_type in (ExecType.PENDING_CANCEL, ExecType.PENDING_REPLACE):
            own = client.cancels.get(event.request_id) if event.source == Source.FIX_CLIENT else None
            return None if own is None else own.cl_ord_id
        if event.exec_type != ExecType.CANCELED:
            return None
        asked = [c for c in client.cancels.values() if c.order_id == event.order_id and not c.is_replace]
        return asked[-1].cl_ord_id if asked else None

    def _name_before(self, client: Client, event: Event) -> str | None:
        """Of an order that has been replaced: the client's name for it until then. Its request is done."""
        if event.exec_type != ExecType.REPLACED:
            return None
        for request_id, asked in client.cancels.items():
            if asked.is_replace and (asked.order_id, asked.cl_ord_id) == (event.order_id, event.text):
                return client.cancels.pop(request_id).orig_cl_ord_id
        return None

    def _end_cancel(self, client: Client, event: Event) -> Cancel | None:
        """Takes out the request that is rejected: by the shard under its own request_id, by the venue by its
        order."""
        replaces = event.exec_type == ExecType.REPLACE_REJECT
        if event.request_id in client.cancels:
            return client.cancels.pop(event.request_id)
        if event.reject_code == Reject.VENUE_REJECTED:
            for request_id, cancel in client.cancels.items():
                if cancel.order_id == event.order_id and cancel.is_replace == replaces:
                    return client.cancels.pop(request_id)
        return None


def _not_known(orig: str) -> str:
    return f"OrigClOrdID (41) {orig[:40]!r} is not an order of this account that is still known"
