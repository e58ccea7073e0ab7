"""After a restart, or a loss that no resend heals, the venue is asked how each open order of ours stands.

    inquiry = Inquiry(0, lambda: open_orders(view), ring.try_push, by_mass=True)
    inquiry.logged_on(generation); inquiry.step(session); inquiry.sent(42); inquiry.heard(42)

When: at a process's first Logon; when the sequence numbers have begun anew, for what was under way then is not sent
again; when the shard has another owner; and again when a round was cut off. First everything that the venue resends
is taken: a round begins once no gap is open.

How: one OrderMassStatusRequest (AF) where the venue takes it; then an OrderStatusRequest (H) for each open order that
was not told, since a mass status tells only what is open there. Each question is a command of the log (ASK_VENUE), so
it is sent behind the order itself. An order without an answer within ANSWER_S is of unknown fate (FATE_UNKNOWN), and
shown as that; nothing is sent again, and nothing released.

Always holds: at most IN_FLIGHT_MAX questions are unanswered; a round that is cut off begins anew.
Must not do: read what an answer says (`fix/venue_reports.py`), or decide what it means (`actors/status.py`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from core import ids
from core.commands import ask_venue, fate_unknown
from core.rejects import Reject
from fix.codec import Message
from fix.durable import Outgoing
from fix.tags import MsgType, Tag

log = logging.getLogger(__name__)

# Questions under way: a sixteenth of the ring of reports, so that fills have room; at 1 ms a round trip, 250,000/s.
IN_FLIGHT_MAX: Final = 256
# A venue that works answers in milliseconds; a mass status of thousands of orders takes it longer than one.
ANSWER_S: Final = 10.0
# MassStatusReqType (585): status for all orders.
_ALL_ORDERS: Final = "7"


class _Mass(NamedTuple):
    """The OrderMassStatusRequest under way, and which orders it has told."""

    request_id: str
    told: set[int]


class Inquiry:
    """Of one session. `open_orders`: (account, order id) of each order that is open now. `push` puts a command into
    the ring of reports, and says whether there was room. `epoch`: of the shard's owner, once it has recovered.
    `names`: a number for each MassStatusReqID."""

    def __init__(
        self,
        shard: int,
        open_orders: Callable[[], list[tuple[int, int]]],
        push: Callable[[bytes], bool],
        *,
        by_mass: bool,
        epoch: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        names: Callable[[], int] = time.time_ns,
    ) -> None:
        self._shard = shard
        self._open_orders = open_orders
        self._push = push
        self._by_mass = by_mass
        self._epoch = epoch
        self._clock = clock
        self._names = names
        self._is_due = True
        self._generation = -1  # of the numbers, at the last Logon
        self._asked_epoch = -1  # of the owner, when the last round began
        self._wanted: deque[tuple[int, int]] = deque()
        self._asked: dict[
            int, float
        ] = {}  # the order, and until when its answer is waited for; 0: not sent yet
        self._mass: _Mass | None = None
        self._mass_until = 0.0
        self._counts = [0, 0]  # of this round: asked about, without an answer

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be asked or answered."""
        return not (self._is_due or self._wanted or self._asked or self._mass)

    def logged_on(self, generation: int) -> None:
        if generation != self._generation:
            self._is_due = True
        self._generation = generation

    def lost(self) -> None:
        """The connection has ended: what was not answered is asked again after the next Logon."""
        self._is_due = not self.is_done
        self._wanted.clear()
        self._asked.clear()
        self._mass = None

    def step(self, may_ask: bool) -> list[Outgoing]:
        """Goes on, several times a second, while logged on. may_ask: all that the venue resends has been taken.
        Returns the message that asks about all orders, once."""
        now = self._clock()
        self._give_up(now)
        if self._epoch() != self._asked_epoch:
            self._is_due = True
        if self._is_due and may_ask and self._mass is None:
            return self._begin(now)
        if self._mass is None:
            self._ask()
        return []

    def sent(self, order_id: int) -> None:
        """The question about this order is on its way."""
        self._asked[order_id] = self._clock() + ANSWER_S

    def heard(self, order_id: int) -> None:
        """The venue has said how this order stands, or that it can't."""
        self._asked.pop(order_id, None)
        self._end()

    def mass_told(self, message: Message) -> int | None:
        """An ExecutionReport that answers our OrderMassStatusRequest: the order that it tells; 0 where it tells none
        of ours; None for any other message."""
        if self._mass is None or message.get(Tag.MassStatusReqID) != self._mass.request_id:
            return None
        order_id = self._order_of(message)
        if order_id:
            self._mass.told.add(order_id)
        total = message.get(Tag.TotNumReports) or ""
        is_last = message.get(Tag.LastRptRequested) == "Y"
        if is_last or (total.isdigit() and len(self._mass.told) >= int(total)):
            self._mass_ends()
        return order_id

    def mass_refused(self) -> None:
        """The venue does not take the question about all orders."""
        self._mass_ends()

    # --- inside -----------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> list[Outgoing]:
        self._is_due = False
        self._asked_epoch = self._epoch()
        self._wanted = deque(self._open_orders())
        self._counts = [len(self._wanted), 0]
        if not self._wanted:
            return []
        log.info("asking the venue how %d open orders stand", len(self._wanted))
        if not self._by_mass:
            return []
        request_id = f"TW{self._shard:03d}-M{self._names()}"
        self._mass, self._mass_until = _Mass(request_id, set()), now + ANSWER_S
        fields = [(int(Tag.MassStatusReqID), request_id), (int(Tag.MassStatusReqType), _ALL_ORDERS)]
        return [(MsgType.OrderMassStatusRequest, fields)]

    def _ask(self) -> None:
        while self._wanted and len(self._asked) < IN_FLIGHT_MAX:
            account, order_id = self._wanted[0]
            if not self._push(ask_venue(account=account, order_id=order_id)):
                return
            self._wanted.popleft()
            self._asked[order_id] = 0.0

    def _give_up(self, now: float) -> None:
        if self._mass is not None and now > self._mass_until:
            log.warning(
                "the venue did not say within %g s how all orders stand: each is asked about", ANSWER_S
            )
            self._mass_ends()
        silent = [order_id for order_id, until in self._asked.items() if 0 < until < now]
        for order_id in silent:
            if not self._push(fate_unknown(order_id=order_id, code=Reject.VENUE_SILENT)):
                return
            log.error("the venue does not say how order %d stands: its fate is unknown", order_id)
            self._counts[1] += 1
            self.heard(order_id)

    def _order_of(self, message: Message) -> int:
        name = message.get(Tag.ClOrdID)
        if name is None:
            return 0  # it has no open orders of ours
        try:
            return ids.order_id_of(name)
        except ids.IdError:
            log.error("the venue has an open order that is not ours: %r", message)
            return 0

    def _mass_ends(self) -> None:
        if self._mass is not None:
            self._wanted = deque(each for each in self._wanted if each[1] not in self._mass.told)
            self._mass = None
            self._end()

    def _end(self) -> None:
        if self.is_done and self._counts[0]:
            log.info("the venue was asked about %d open orders, %d without an answer", *self._counts)
            self._counts = [0, 0]
