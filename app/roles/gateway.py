"""The process `gateway`: order entry over REST, the live streams and the page, on one port.

It serves once the shard is there. When the log can't be followed any more it ends, and the supervisor starts
it anew: an order whose answer is never seen must not look like a slow one.
"""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from actors.shard import BELL_FILE, LANE_FILES, TICKS_FILE, Lane
from actors.view import StateView
from app.config import Config
from gateways.answers import Answers
from gateways.app import create_app
from gateways.desk import Desk
from gateways.identity import Credentials, Identity
from gateways.log_feed import LogFeed
from gateways.settings import GatewaySettings
from gateways.standby_watch import StandbyWatch
from gateways.tick_feed import TickFeed
from marketdata.instruments import definitions
from shared_mem.bell import Bell
from shared_mem.broadcast import BroadcastReader
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentMissing

LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too
PAGE: Final = Path(__file__).resolve().parents[2] / "web" / "dist"

# Connections and requests under way; beyond it uvicorn answers 503.
CONNECTIONS_MAX: Final = 4096
DESCRIPTORS: Final = CONNECTIONS_MAX + 512  # and our own: rings, log, page
BACKLOG: Final = 1024
# One message of a stream's client: a subscription to every symbol by name.
STREAM_MESSAGE_BYTES_MAX: Final = 256 << 10
# A peer whose kernel takes nothing for so long is gone, though its connection looks alive.
PEER_TIMEOUT_MS: Final = 30_000
# Requests under way at SIGTERM have a second; the process has to be gone after three.
GRACE_S: Final = 1


class _Server(uvicorn.Server):
    """Says when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises IdentityError, LogError, OSError (the port): the supervisor restarts it."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    desk = _desk(config, stopping)
    if desk is None:
        return
    failures: list[BaseException] = []

    def end_with(failure: BaseException) -> None:
        failures.append(failure)
        server.should_exit = True

    def account_number(text: str) -> int | None:
        account = desk.view.account_by_text(text)
        return None if account is None else account.account

    gate = Gate[config.gate.upper()]
    app = create_app(
        desk=desk,
        identity=Identity(Credentials.load(config.credentials_path), account_number),
        feed=LogFeed(LogReader(config.log_dir, config.run_dir, Reader.GATEWAY, gate=gate), end_with),
        ticks=TickFeed(lambda: BroadcastReader(config.run_dir / TICKS_FILE), desk.symbol),
        settings=GatewaySettings(
            demo=config.embedded >= {"postgres", "nats", "valkey"}, page=PAGE, mailbox=config.mailbox_dir
        ),
    )
    server = _Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            # The one of uvicorn's that joins the fragments alpaca-py subscribes with and honours
            # back-pressure.
            ws="websockets-sansio",
            ws_max_size=STREAM_MESSAGE_BYTES_MAX,
            limit_concurrency=CONNECTIONS_MAX,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
            access_log=False,
            server_header=False,
            log_config=None,
        ),
        ready,
    )
    _allow_descriptors()
    with _listener(config.host, config.ports.rest) as listener:
        server.run(sockets=[listener])
    if failures:
        raise failures[0]


def _desk(config: Config, stopping: threading.Event) -> Desk | None:
    """The shard's rings and state, once it has started; None when it is time to stop before that."""
    known = definitions(config.replay)
    while not stopping.is_set():
        try:
            bell = Bell.attach(config.run_dir / BELL_FILE)
            return Desk(
                shard=config.shard,
                view=StateView.attach(config.run_dir),
                orders=Ring.attach(config.run_dir / LANE_FILES[Lane.ORDERS_GATEWAY], bell=bell),
                cancels=Ring.attach(config.run_dir / LANE_FILES[Lane.CANCELS_GATEWAY], bell=bell),
                # Numbers that no earlier life has used, whatever it had sent.
                answers=Answers(time.time_ns()),
                source=known[0].label,
                names={instrument.symbol: instrument.name for instrument in known},
                refusal=StandbyWatch(config.run_dir).refusal,
            )
        except SegmentMissing:
            stopping.wait(LOOK_S)
    return None


def _allow_descriptors() -> None:
    """Many systems start a process with 1,024, and allow it more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), backlog=BACKLOG)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_TIMEOUT_MS)
    return listener
