"""A blocking client of the binary protocol, for programs without an event loop: scripts, notebooks, a thread.

    with BlockingClient("127.0.0.1", 8706, key_id, secret) as client:
        client.order("AAPL", Side.BUY, 10, "150.00")
        heard = client.hear(timeout_s=1)

Always holds: as in `gateways/binary/client.py`. All of its work is done inside its calls: who calls nothing for three
heartbeats is taken for gone, is cut off, and goes on where it was with the next call.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final, Self

from core.records import Side, TimeInForce
from gateways.binary.conversation import Amount, Conversation, LoggedOut
from gateways.binary.layout import HEARTBEATS_MISSED_MAX
from gateways.binary.messages import LoginAccepted, OrderEvent, Refused

CONNECT_S: Final = 5.0
AGAIN_S: Final = 0.1  # between two attempts to connect
# Its calls may be rare.
HEARTBEAT_MS_USUAL: Final = 30_000
_READ_BYTES: Final = 64 << 10


class BlockingClient:
    """`next_seq`: the first event that this client has not had; 1: all that the log has, 0: only what comes."""

    def __init__(
        self,
        host: str,
        port: int,
        key_id: str,
        secret: str,
        *,
        next_seq: int = 0,
        heartbeat_ms: int = HEARTBEAT_MS_USUAL,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place = host, port
        self._tls = tls
        self._talk = Conversation(key_id, secret, time.time_ns(), next_seq, heartbeat_ms)
        self._heard: deque[OrderEvent | Refused] = deque()  # of one read at the most
        self._next_seq = next_seq
        self._socket: socket.socket | None = None
        self._said_s = self._read_s = 0.0

    @property
    def next_seq(self) -> int:
        """Behind the last event that `hear` has returned: what to store, and to begin with in the next life."""
        return self._next_seq if self._heard else max(self._next_seq, self._talk.next_seq)

    @property
    def unanswered(self) -> list[int]:
        return self._talk.unanswered

    def __enter__(self) -> Self:
        """Logs in. Raises LoginRefused; waits while the door is not there."""
        while not self._talk.is_logged_in:
            self._go_on(CONNECT_S)
        return self

    def __exit__(self, *_: object) -> None:
        """Says Logout: that the session ends in order."""
        self._send(self._talk.goodbye())
        with suppress(OSError, ConnectionError):
            while self._socket is not None and self._socket.recv(_READ_BYTES):
                continue  # what still comes is in the log
        self._hang_up()

    def order(
        self,
        symbol: str,
        side: Side,
        qty: Amount,
        price: Amount | None = None,
        tif: TimeInForce = TimeInForce.DAY,
        token: str = "",
        expire_time_ns: int = 0,
    ) -> int:
        """Its request_id, at once. As Conversation.order."""
        return self._asked(self._talk.order(symbol, side, qty, price, tif, token, expire_time_ns))

    def cancel(self, *, order_id: int = 0, token: str = "") -> int:
        return self._asked(self._talk.cancel(order_id=order_id, token=token))

    def replace(self, **terms: Any) -> int:
        return self._asked(self._talk.replace(**terms))

    def hear(self, timeout_s: float) -> OrderEvent | Refused | None:
        """The next, or None after so many seconds. Raises LoginRefused, LoggedOut, FrameError where the client can't go
        on by itself."""
        deadline_s = time.monotonic() + timeout_s
        while not self._heard:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            self._go_on(left_s)
        heard = self._heard.popleft()
        if isinstance(heard, OrderEvent):
            self._next_seq = heard.seq + 1
        return heard

    # --- the connection ---------------------------------------------------------------------------------

    def _asked(self, request: tuple[int, bytes]) -> int:
        request_id, raw = request
        if self._talk.is_logged_in:
            self._send(raw)
        return request_id  # else it goes with the next Login

    def _send(self, raw: bytes) -> None:
        if self._socket is None or not raw:
            return
        try:
            self._socket.settimeout(CONNECT_S)
            self._socket.sendall(raw)
            self._said_s = time.monotonic()
        except OSError:
            self._hang_up()

    def _go_on(self, timeout_s: float) -> None:
        """Connects where it has to, or reads once."""
        if self._socket is None and not self._connect():
            time.sleep(min(AGAIN_S, timeout_s))
            return
        heartbeat_s = self._talk.heartbeat_ms / 1000
        now_s = time.monotonic()
        if now_s - self._said_s >= heartbeat_s / 2:
            self._send(self._talk.heartbeat())
        self._read(timeout_s, heartbeat_s)

    def _read(self, timeout_s: float, heartbeat_s: float) -> None:
        if self._socket is None:
            return  # it broke when the heartbeat was sent
        self._socket.settimeout(min(timeout_s, heartbeat_s / 2))
        try:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the door has closed the connection")
            self._read_s = time.monotonic()
            heard, answer = self._talk.receive(data)
        except TimeoutError:
            if time.monotonic() - self._read_s > HEARTBEATS_MISSED_MAX * heartbeat_s:
                self._hang_up()
            return
        except LoggedOut as error:
            self._hang_up()
            if error.is_final:
                raise
            return
        except ConnectionResetError:
            self._hang_up()
            return
        self._send(answer)
        self._heard += [each for each in heard if not isinstance(each, LoginAccepted)]

    def _connect(self) -> bool:
        try:
            made = socket.create_connection(self._place, CONNECT_S)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                made = self._tls.wrap_socket(made, server_hostname=self._place[0])
        except OSError:
            return False
        self._socket = made
        self._read_s = time.monotonic()
        self._send(self._talk.hello())
        return self._socket is not None

    def _hang_up(self) -> None:
        self._talk.is_logged_in = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
