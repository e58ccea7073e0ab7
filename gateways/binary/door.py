"""The binary door: orders and cancels of its clients into the shard's rings, its events back as they stand in the log.

A client logs in with the id and secret of an API key, and the sequence number that it expects. A key is for one
account; an account has one connection here, the newest. What it is told is every event of its account's orders,
whichever door they came by, under the log's own sequence numbers.

Always holds here:
- Nothing reaches a ring that is not well formed; a client is told the field, the value and the remedy.
- A cancel waits for room in its ring and for the order it names to be in the shard; it is never refused for either.
- At the limit of its key's throttle a client's new orders and replaces are refused; cancels pass.
- Where its key says so, the open orders of a session that drops are cancelled after a grace, also when this process
  was killed with it (`gateways/binary/armed.py`).
- This process keeps nothing of what it has sent, for the log is the store (`gateways/binary/resume.py`).

A kill -9 of the door: what it pushed is in the ring, and the shard takes it; what it had not pushed is lost with the
connection. The client can't tell which, and sends what is unanswered again under the same request_id, marked `resent`.
Such a request waits until its session has been told the log to its end; if the request's answer was among that, it is
dropped, and so is one that is on its way. In a new life nobody may log in before the shard has taken what a former
life left in the ring (`app/roles/binary_door.py`). Should the shard be away for longer than that is waited for, it is
given the order twice, and rejects the second for its token (209). So an order is never executed twice.
A kill -9 of the shard: rings and log are shared memory; the next shard goes on where it was, and so do the sessions.
A kill -9 of the client: it logs in with the number behind the last event that it has put away.

Must not do: check risk, or answer for the shard.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable
from typing import Final

from actors.view import OrderView, StateBusy, StateView
from core import commands, events
from core.event_layouts import EVENT
from core.events import Event
from core.records import EventKind, Source
from core.rejects import TEXTS, Reject
from fix.throttle import Throttle
from gateways.binary.armed import ArmedAccounts
from gateways.binary.layout import FLAG_RESENT, Code
from gateways.binary.messages import Cancel, Login, LoginAccepted, NewOrder, Refused, Replace, Request
from gateways.binary.reports import Reports
from gateways.binary.requests import (
    Refusal,
    check_cancel,
    check_login,
    check_new_order,
    check_replace,
    refused,
)
from gateways.binary.resume import Places, Resumes
from gateways.binary.session import ROOM_BYTES, UNSENT_BYTES_MAX, Hold, Session
from gateways.cancel_on_disconnect import DroppedSessions
from gateways.fix_rules import FixRules
from gateways.order_events import account_text_of
from gateways.pace import too_fast
from shared_mem.log import CursorInvalid
from shared_mem.log_reader import Record
from shared_mem.ring import Ring

log = logging.getLogger(__name__)

# Requests of one account that the shard has not answered yet; then its socket waits. More than a ring holds.
UNANSWERED_MAX: Final = 10_000
# Records that a session which is behind is told in one turn of the loop.
BATCH_RECORDS: Final = 256

_NS_PER_MS: Final = 1_000_000
_CANCEL_ON: Final = {"never": 0, "drop": 1, "end": 2}
# Of a cancel that the door makes itself: above any of a client's.
_OWN_REQUEST: Final = 1 << 63
# Where every event has its account: enough to tell whether it is anybody's here.
_ACCOUNT: Final = struct.Struct("<8xI")
assert EVENT.fields is not None
assert EVENT.fields["account"][1] == 8


def own_cancel_id(_account: int, order_id: int) -> int:
    """request_id of the cancel of an order whose session has dropped."""
    return _OWN_REQUEST | order_id


class _Account:
    """What this life of the door knows of an account that has logged in."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.session: Session | None = None
        self.unanswered: dict[int, str] = {}  # request_id -> token; pushed, and not yet seen in the log
        self.coming: dict[str, int] = {}  # token -> request_id, of those that make an order's name
        self.rules = FixRules()
        self.throttle = Throttle(self.rules.messages, self.rules.window_ms * _NS_PER_MS)

    def take_rules(self, rules: FixRules) -> None:
        if rules != self.rules:
            self.rules = rules
            self.throttle = Throttle(rules.messages, rules.window_ms * _NS_PER_MS)

    def pushed(self, request_id: int, token: str = "") -> None:
        self.unanswered[request_id] = token
        if token:
            self.coming[token] = request_id

    def answered(self, request_id: int) -> None:
        token = self.unanswered.pop(request_id, "")
        if token and self.coming.get(token) == request_id:
            del self.coming[token]


class BinaryDoor:
    """`view` gives the shard's state as it is now, also after its restart. `steady`: a clock that never goes back."""

    def __init__(
        self,
        *,
        shard: int,
        authenticate: Callable[[str, str], int | None],
        rules_of: Callable[[str], FixRules],
        view: StateView,
        orders: Ring,
        cancels: Ring,
        resumes: Resumes,
        places: Places,
        armed: ArmedAccounts,
        position: int,
        refusal: Callable[[], str] = lambda: "",
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._shard = shard
        self._authenticate = authenticate
        self._rules_of = rules_of
        self._view = view
        self._orders = orders
        self._cancels = cancels
        self._resumes = resumes
        self._places = places
        self._armed = armed
        self._refusal = refusal  # why no order is taken now (gateways/standby_watch.py)
        self._steady = steady
        self._reports = Reports(view)
        self._position = position  # in the log: live sessions have been told what stands before it
        self._last_seq = 0
        self._accounts: dict[int, _Account] = {}  # bounded by the keys
        self._behind: set[Session] = set()
        self._held: set[Session] = set()
        self._instruments: dict[str, int] = {}  # bounded by the instruments, whose numbers never change
        self._dropped = DroppedSessions(view, cancels, own_cancel_id, Source.BINARY_CLIENT)
        for account, grace_ms in armed.graces_ms().items():  # they were on when a former life ended
            self._accounts[account] = _Account(account)
            self._dropped.dropped(account, grace_ms * _NS_PER_MS, steady())

    # --- sessions ---------------------------------------------------------------------------------------

    def login(self, session: Session, login: Login) -> None:
        """Raises Refusal, Hold."""
        check_login(login)
        try:
            account = self._authenticate(login.key_id, login.secret)
            if account is None:
                raise Refusal(
                    Code.KEY_WRONG, "key_id or secret is wrong; send an API key's id and its secret"
                )
            text = account_text_of(self._view, account)
        except StateBusy as busy:
            raise Hold(str(busy)) from busy
        position = self._resumes.position_of(login.next_seq) if login.next_seq else self._position
        owner = self._accounts.setdefault(account, _Account(account))
        if owner.session is not None:
            owner.session.end(Code.REPLACED, "the account has logged in by another connection; use one")
        owner.session = session
        rules = self._rules_of(login.key_id)
        owner.take_rules(rules)
        self._dropped.back(account)
        if rules.cancel_on == "never":
            self._armed.disarm(account)
        else:
            self._armed.arm(account, rules.grace_ms)
        last_seq = self._resumes.last_seq
        session.account, session.heartbeat_ns = account, login.heartbeat_ms * _NS_PER_MS
        session.next_seq = login.next_seq or last_seq + 1
        session.say(
            LoginAccepted(
                next_seq=session.next_seq,
                last_seq=last_seq,
                account=text,
                shard=self._shard,
                heartbeat_ms=login.heartbeat_ms,
                messages=rules.messages,
                window_ms=rules.window_ms,
                cancel_on=_CANCEL_ON[rules.cancel_on],
                grace_ms=rules.grace_ms,
            )
        )
        self._is_behind(session, position)

    def ended(self, session: Session, in_order: bool) -> None:
        self._behind.discard(session)
        self._held.discard(session)
        owner = self._accounts[session.account]
        if owner.session is not session:
            return  # another connection has taken over
        owner.session = None
        grace_ms = self._armed.grace_ms(session.account)
        if grace_ms is None:
            return
        if in_order and owner.rules.cancel_on != "end":
            self._armed.disarm(session.account)
        else:
            self._dropped.dropped(session.account, grace_ms * _NS_PER_MS, self._steady())

    def held(self, session: Session) -> None:
        self._held.add(session)

    @property
    def has_waiting(self) -> bool:
        """Whether a request has to be tried again, or a session is behind."""
        return bool(self._held or self._behind)

    def retry(self) -> None:
        """Whether what waits can go on."""
        held, self._held = self._held, set()
        for session in held:
            session.go_on()

    def tick(self) -> None:
        """Several times a second: cancels what sessions left open that have not come back in time."""
        for account in self._dropped.due(self._steady()):
            if self._accounts[account].unanswered or len(self._orders):
                continue  # something may be on its way to the shard: a cancel would not find it
            try:
                asked = self._dropped.cancel_all(account)
            except StateBusy:
                continue  # its shard is being restarted
            if asked is not None:
                log.warning(
                    "account %d has not come back: %d open orders are being cancelled", account, asked
                )
                self._armed.disarm(account)

    # --- in ---------------------------------------------------------------------------------------------

    def request(self, session: Session, request: Request) -> Refused | None:
        """Raises Hold."""
        owner = self._accounts[session.account]
        try:
            if isinstance(request, NewOrder):
                check_new_order(request)
            elif isinstance(request, Cancel):
                check_cancel(request)
            else:
                check_replace(request)
            if self._is_known(session, owner, request):
                return None
            if isinstance(request, NewOrder):
                self._new_order(owner, request)
            elif isinstance(request, Cancel):
                self._cancel(owner, request)
            else:
                self._replace(owner, request)
        except Refusal as no:
            return refused(request, no)
        except StateBusy as busy:
            raise Hold(str(busy)) from busy
        owner.throttle.count(self._steady())
        return None

    def _is_known(self, session: Session, owner: _Account, request: Request) -> bool:
        """Whether a request that may have been sent before has been taken: its answer was told, or will be."""
        if not request.flags & FLAG_RESENT:
            return False
        if not session.is_live:
            raise Hold("what was answered is not known before the session has been told the log to its end")
        return session.was_answered(request.request_id) or request.request_id in owner.unanswered

    def _new_order(self, owner: _Account, order: NewOrder) -> None:
        self._check_room(owner)
        command = commands.new_order(
            source=Source.BINARY_CLIENT,
            request_id=order.request_id,
            account=owner.number,
            instrument=self._instrument(order.symbol),
            side=order.side,
            ord_type=order.ord_type,
            tif=order.tif,
            qty_e8=order.qty_e8,
            price_e8=order.price_e8,
            client_order_id=order.token,
            expire_time_ns=order.expire_time_ns,
        )
        self._push_order(command)
        owner.pushed(order.request_id, order.token)

    def _replace(self, owner: _Account, replace: Replace) -> None:
        """Into the orders' ring: a replace may ask for more than there was."""
        self._check_room(owner)
        order = self._order_named(owner, replace.order_id, replace.orig_token)
        command = commands.replace(
            source=Source.BINARY_CLIENT,
            request_id=replace.request_id,
            account=owner.number,
            instrument=order.instrument,
            order_id=order.order_id,
            client_order_id=replace.token,
            qty_e8=replace.qty_e8,
            price_e8=replace.price_e8,
            tif=replace.tif,
            expire_time_ns=replace.expire_time_ns,
        )
        self._push_order(command)
        owner.pushed(replace.request_id, replace.token)

    def _cancel(self, owner: _Account, cancel: Cancel) -> None:
        order_id = cancel.order_id or self._order_named(owner, 0, cancel.token).order_id
        command = commands.cancel(
            source=Source.BINARY_CLIENT,
            request_id=cancel.request_id,
            account=owner.number,
            order_id=order_id,
        )
        if not self._cancels.try_push(command):
            raise Hold(f"the ring of cancels is full ({self._cancels.capacity})")
        owner.pushed(cancel.request_id)

    def _check_room(self, owner: _Account) -> None:
        if len(owner.unanswered) >= UNANSWERED_MAX:
            raise Hold(f"{UNANSWERED_MAX} requests of account {owner.number} are unanswered")
        if why := too_fast(owner.throttle, self._steady()):
            raise Refusal(Code.TOO_FAST, why, owner.throttle.messages)

    def _push_order(self, command: bytes) -> None:
        if why := self._refusal():
            raise Refusal(Reject.STANDBY_AWAY, f"{why}; nothing was done, send it again")
        if not self._orders.try_push(command):
            waiting = self._orders.capacity
            text = f"the desk is full: {waiting} orders wait; nothing was done, send it again"
            raise Refusal(Code.DESK_FULL, text, waiting)

    def _instrument(self, symbol: str) -> int:
        number = self._instruments.get(symbol)
        if number is None:
            found = self._view.instrument_by_symbol(symbol)
            if found is None:
                raise Refusal(Reject.INSTRUMENT_UNKNOWN, f"symbol {symbol!r} is not traded here")
            number = self._instruments[symbol] = found.instrument
        return number

    def _order_named(self, owner: _Account, order_id: int, token: str) -> OrderView:
        """The account's order of that number or, where it is 0, that has or had this name."""
        if token in owner.coming:
            raise Hold(f"the order {token!r} is on its way to the shard")
        view = self._view
        order = view.order(order_id) if order_id else view.order_by_client_id(owner.number, token)
        if order is None or order.account != owner.number:
            name = f"order_id {order_id}" if order_id else f"token {token!r}"
            known = TEXTS[Reject.ORDER_UNKNOWN].text
            raise Refusal(Reject.ORDER_UNKNOWN, f"{name}: {known}, or was long ago", order_id)
        return order

    # --- out --------------------------------------------------------------------------------------------

    def told_up_to(self, session: Session) -> int:
        """The seq up to which the session has been told everything."""
        known = self._last_seq if session.is_live else 0
        return max(known, session.next_seq - 1)

    def follow(self, records: list[Record]) -> None:
        """The log's next records, to those whom they concern."""
        batches: dict[Session, list[bytes]] = {}
        for record in records:
            if record.kind != EventKind.ORDER:
                continue
            owner = self._accounts.get(_ACCOUNT.unpack_from(record.payload)[0])
            if owner is None:
                continue
            event = events.decode(record.seq, record.time_ns, record.payload)
            if event.source == Source.BINARY_CLIENT:
                owner.answered(event.request_id)
            session = owner.session
            if session is None or not session.is_live:
                continue
            try:
                report = self._reports.report(event)
            except StateBusy:  # its shard is being restarted
                session.is_live = False
                session.position = record.position
                self._behind.add(session)
                continue
            self._tell(session, event, report, batches.setdefault(session, []))
        self._places.note(records)
        self._position, self._last_seq = records[-1].next_position, records[-1].seq
        for session, batch in batches.items():
            session.tell(b"".join(batch))
            if session.is_live and session.wire.unsent() > UNSENT_BYTES_MAX:
                self._is_behind(session, self._position)
        self.retry()

    def _tell(self, session: Session, event: Event, report: bytes | None, batch: list[bytes]) -> None:
        if event.seq < session.next_seq:
            return
        session.next_seq = event.seq + 1
        if event.source == Source.BINARY_CLIENT:
            session.note_answer(event.request_id)
        if report is not None:
            batch.append(report)

    def _is_behind(self, session: Session, position: int) -> None:
        """It is told from the log, from this position on, as its socket takes it."""
        session.position = position
        session.is_live = position >= self._position and session.wire.unsent() <= UNSENT_BYTES_MAX
        if not session.is_live:
            self._behind.add(session)

    def pump(self) -> bool:
        """One batch to each session that is behind and has room; whether there may be more. Raises LogError."""
        return sum([self._catch_up(session) for session in list(self._behind)]) > 0

    def _catch_up(self, session: Session) -> bool:
        if session.wire.unsent() > ROOM_BYTES:
            return False
        batch: list[bytes] = []
        try:
            records, position = self._resumes.read(session.position, self._position, BATCH_RECORDS)
            for record in records:
                if record.kind != EventKind.ORDER:
                    continue
                if (
                    _ACCOUNT.unpack_from(record.payload)[0] != session.account
                    or record.seq < session.next_seq
                ):
                    continue
                event = events.decode(record.seq, record.time_ns, record.payload)
                self._tell(session, event, self._reports.report(event), batch)
        except StateBusy:
            return False  # its shard is being restarted; what was told of the batch is known by next_seq
        except CursorInvalid as error:
            session.end(
                Code.NEXT_SEQ_GONE, f"{error}; reconcile by REST, then log in with 0", session.next_seq
            )
            return False
        finally:
            session.tell(b"".join(batch))
        session.position = position
        if position >= self._position:
            session.is_live = True
            self._behind.discard(session)
            session.go_on()  # what was sent again may have waited for it
        return True
