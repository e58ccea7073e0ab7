"""A client's side of the binary protocol without I/O: what to send, and what was heard.

Always holds: what is not answered is kept, and sent again after the next Login under its own request_id, marked
`resent`; each event is handed on once, in the order of its seq; `next_seq` is the one to log in with.
Must not do: know a socket or a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from core import units
from core.records import ExecType, OrdType, Side, Source, TimeInForce
from core.rejects import Reject
from gateways.binary.framing import Frames
from gateways.binary.layout import FLAG_RESENT, FROM_DOOR, HEARTBEAT_MS, Code
from gateways.binary.messages import (
    Cancel,
    Heartbeat,
    Login,
    LoginAccepted,
    LoginRejected,
    Logout,
    Message,
    NewOrder,
    OrderEvent,
    Refused,
    Replace,
    Request,
    decode,
    encode,
)

# As many as the door holds for an account.
UNANSWERED_MAX: Final = 10_000

_ECHO: Final = (Source.BINARY_CLIENT, ExecType.REJECTED, Reject.DUPLICATE_CLIENT_ORDER_ID)

Amount = Decimal | int | str
Heard = LoginAccepted | OrderEvent | Refused


class LoginRefused(ConnectionError):
    """The door does not let this client in; trying again as it is would not help. `code`, `value`: docs/binary.md."""

    def __init__(self, answer: LoginRejected) -> None:
        super().__init__(f"login refused ({answer.code}): {answer.text}")
        self.code = answer.code
        self.value = answer.value


class LoggedOut(ConnectionError):
    """The door has ended the connection."""

    def __init__(self, answer: Logout) -> None:
        super().__init__(f"logged out ({answer.code}): {answer.text}")
        self.code = answer.code

    @property
    def is_final(self) -> bool:
        """Whether it would end so again."""
        return self.code in (Code.LOGGED_OUT, Code.GARBAGE, Code.REPLACED)


class TooManyUnanswered(RuntimeError):
    pass


class Conversation:
    """`first_request`: the number of this client's first request; the door knows a request again by it, so it has to be
    above those of the client's earlier lives. The time in ns is."""

    def __init__(
        self,
        key_id: str,
        secret: str,
        first_request: int,
        next_seq: int = 0,
        heartbeat_ms: int = HEARTBEAT_MS,
    ) -> None:
        self.next_seq = next_seq
        self.heartbeat_ms = heartbeat_ms
        self.is_logged_in = False
        self._key_id, self._secret = key_id, secret
        self._next_request = first_request
        self._unanswered: dict[int, Request] = {}
        self._frames = Frames(FROM_DOOR)

    @property
    def unanswered(self) -> list[int]:
        """Their request_ids, oldest first."""
        return list(self._unanswered)

    # --- out --------------------------------------------------------------------------------------------

    def hello(self) -> bytes:
        """The first bytes of a connection."""
        self._frames = Frames(FROM_DOOR)
        self.is_logged_in = False
        return encode(Login(self._key_id, self._secret, self.next_seq, self.heartbeat_ms))

    def heartbeat(self) -> bytes:
        return encode(Heartbeat())

    def goodbye(self) -> bytes:
        return encode(Logout())

    def order(
        self,
        symbol: str,
        side: Side,
        qty: Amount,
        price: Amount | None = None,
        tif: TimeInForce = TimeInForce.DAY,
        token: str = "",
        expire_time_ns: int = 0,
    ) -> tuple[int, bytes]:
        """A limit order, or without a price a market order; without a token its request_id is its name. Its request_id,
        and the bytes to send. Raises UnitError, EncodeError, TooManyUnanswered."""
        return self._ask(
            lambda request_id: NewOrder(
                request_id=request_id,
                token=token or str(request_id),
                symbol=symbol,
                side=side,
                ord_type=OrdType.MARKET if price is None else OrdType.LIMIT,
                tif=tif,
                qty_e8=units.qty_e8(qty),
                price_e8=0 if price is None else units.price_e8(price),
                expire_time_ns=expire_time_ns,
            )
        )

    def cancel(self, *, order_id: int = 0, token: str = "") -> tuple[int, bytes]:
        """Raises EncodeError, TooManyUnanswered."""
        return self._ask(lambda request_id: Cancel(request_id, order_id, token))

    def replace(
        self,
        *,
        order_id: int = 0,
        orig_token: str = "",
        token: str = "",
        qty: Amount = 0,
        price: Amount = 0,
        tif: int = 0,
        expire_time_ns: int = 0,
    ) -> tuple[int, bytes]:
        """What is 0 stays as it is. Raises UnitError, EncodeError, TooManyUnanswered."""
        return self._ask(
            lambda request_id: Replace(
                request_id=request_id,
                order_id=order_id,
                orig_token=orig_token,
                token=token or str(request_id),
                tif=tif,
                qty_e8=units.qty_e8(qty),
                price_e8=units.price_e8(price),
                expire_time_ns=expire_time_ns,
            )
        )

    def _ask(self, made: Callable[[int], Request]) -> tuple[int, bytes]:
        if len(self._unanswered) >= UNANSWERED_MAX:
            raise TooManyUnanswered(f"{UNANSWERED_MAX} requests are unanswered; wait for answers")
        request = made(self._next_request)
        raw = encode(request)
        self._next_request += 1
        self._unanswered[request.request_id] = request
        return request.request_id, raw

    # --- in ---------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> tuple[list[Heard], bytes]:
        """What was heard, and what is to be sent now. Raises LoginRefused, LoggedOut, FrameError; what was heard before
        it is lost here, and comes again after the next Login."""
        self._frames.feed(data)
        heard: list[Heard] = []
        answer = b""
        next_seq, unanswered = self.next_seq, dict(self._unanswered)
        try:
            while (raw := self._frames.next()) is not None:
                answer += self._take(decode(raw), heard)
        except Exception:  # whatever it is: the caller gets nothing of this piece, so nothing of it counts
            self.next_seq, self._unanswered = next_seq, unanswered
            raise
        return heard, answer

    def _take(self, message: Message, heard: list[Heard]) -> bytes:
        if isinstance(message, OrderEvent):
            self._event(message, heard)
        elif isinstance(message, Heartbeat):
            self.next_seq = max(self.next_seq, message.seq + 1)
        elif isinstance(message, Refused):
            self._unanswered.pop(message.request_id, None)
            heard.append(message)
        elif isinstance(message, LoginAccepted):
            self.is_logged_in = True
            self.next_seq = message.next_seq
            heard.append(message)
            return b"".join(encode(_resent(request)) for request in self._unanswered.values())
        elif isinstance(message, LoginRejected):
            raise LoginRefused(message)
        elif isinstance(message, Logout):
            raise LoggedOut(message)
        return b""

    def _event(self, event: OrderEvent, heard: list[Heard]) -> None:
        self.next_seq = event.seq + 1
        is_answer = event.source == Source.BINARY_CLIENT and event.request_id in self._unanswered
        if is_answer:
            del self._unanswered[event.request_id]
        elif (event.source, event.exec_type, event.code) == _ECHO:
            return  # the shard met a request twice that was sent again; its answer was heard before
        heard.append(event)


def _resent(request: Request) -> Request:
    return msgspec.structs.replace(request, flags=request.flags | FLAG_RESENT)
