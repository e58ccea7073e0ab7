"""Stories of two hosts in one process: an owner's desk with its replicator in a thread, and a standby turned by hand.

Between them may stand a relay, which cuts, holds up, tears or flips what goes to the standby.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from actors.marks import MarkedReplica
from actors.replay import Replica
from actors.snapshot import take, write_file
from services.standby.copy_of_owner import CopyOfOwner
from services.standby.follower_link import FollowerLink, Who
from services.standby.owner_link import MARKS_FILE, Places
from services.standby.replicator import Replicator, listen
from services.standby.standing import STATUS_FILE, LinkStatus, Standing, Terms
from shared_mem import log
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from shared_mem.retention import Holder, holders
from tests.actors.desk import CAPACITY, PATIENCE_S, SEGMENT_BYTES, Desk, deposit

KEY = secrets.token_bytes(32)
SHARD = 0


class Enough(Exception):
    """The standby has done what the story wanted of it."""


class Owner:
    """A desk whose log is sent. `terms`: changes to what it was told."""

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        log_id: str = "",
        first_cash: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        **terms: object,
    ) -> None:
        self.data_dir, self.run_dir = data_dir, run_dir
        self.log_dir = data_dir / "log"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        if log_id:
            (self.log_dir / "log.id").write_text(log_id)
        self.desk = Desk(self.log_dir, run_dir)
        self.desk.open_market()
        if first_cash:
            self.desk.do(deposit(first_cash))
        self.desk.flusher.flush()
        told = {
            "shard": SHARD, "key": KEY, "lease_ms": 0, "away_ms": 1000, "is_awaited": False, "degrades": False,
        }  # fmt: skip
        self.terms = Terms(**{**told, **terms})  # type: ignore[arg-type]
        self.snapshot = data_dir / "snapshots" / "shard-0.snapshot"
        self._host, self.port = host, port
        self._serve()

    def _serve(self) -> None:
        self.standing = Standing(self.terms, self.run_dir, self.data_dir / "cursors")
        stop, self._stop = os.pipe()
        self._listener = listen(self._host, self.port)
        self.port = int(self._listener.getsockname()[1])
        places = Places(self.data_dir, self.log_dir, self.run_dir, self.snapshot)
        self.replicator = Replicator(self.standing, places, self._listener, stop)
        self._thread = threading.Thread(target=self.replicator.run, daemon=True)
        self._thread.start()

    @property
    def tail(self) -> log.Tail:
        return self.desk.writer.tail

    def trade(self, orders: int = 50) -> None:
        """Some orders, some of them filled; on disk."""
        for number in range(orders):
            event = self.desk.buy(1)
            if number % 3 == 0 and event.reject_code == 0:
                self.desk.fill(event.order_id, 1)
            elif event.reject_code == 0:
                self.desk.cancel(event.order_id)
        self.desk.flusher.flush()

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.005)

    def wait_until_replicated(self) -> None:
        self.wait_for(lambda: self.tail.word(log.REPLICATED) >= self.tail.synced)

    def stop(self) -> None:
        os.write(self._stop, b"!")
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def close(self) -> None:
        self.stop()
        self.desk.close()

    def hash(self) -> str:
        return self.desk.hash()

    def status(self) -> LinkStatus:
        path = self.run_dir / STATUS_FILE
        if not path.exists():
            return LinkStatus("", "", 0, 0)
        return msgspec.json.decode(path.read_bytes(), type=LinkStatus)

    def standby_is_away(self) -> bool:
        scratch = np.zeros(2, np.int64)
        return bool(log.standby_is_away(self.tail.address, scratch.ctypes.data))

    def tell_marks(self, flip: bool = False) -> None:
        """As the role `snapshots` does; with one hash wrong."""
        marked = MarkedReplica(Replica(CAPACITY, SEGMENT_BYTES), SEGMENT_BYTES)
        marked.follow(LogReader(self.log_dir, self.run_dir, Reader.AUDIT))
        marks = list(marked.marks)
        assert marks
        if flip:
            marks = [msgspec.structs.replace(mark, state_hash="0" * 16) for mark in marks]
        (self.run_dir / MARKS_FILE).write_bytes(msgspec.json.encode(marks))

    def store_snapshot(self) -> None:
        write_file(self.snapshot, take(self.desk.state))

    def holders(self) -> list[Holder]:
        return holders(self.tail, self.data_dir / "cursors")


class StandbyHost:
    """A standby on folders of its own. `follow` turns it until the story has enough."""

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        port: int,
        shard: int = SHARD,
        key: bytes = b"",
        host: str = "127.0.0.1",
    ) -> None:
        self.data_dir, self.run_dir = data_dir, run_dir
        self.log_dir = data_dir / "log"
        self.copy = CopyOfOwner(
            data_dir, self.log_dir, run_dir, data_dir / "cursors", data_dir / "snapshots" / "shard-0.snapshot",
            shard, keep_hours=1, capacity=CAPACITY,
        )  # fmt: skip
        self.copy.open()
        self._enough: Callable[[], bool] = lambda: False
        self.link = FollowerLink(Who("standby", shard, key or KEY, host, port), self.copy, self._between)

    def _between(self) -> None:
        if self._enough() or time.monotonic() > self._deadline:
            raise Enough

    def follow(self, until: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Raises what ends a standby."""
        self._enough = until
        self._deadline = time.monotonic() + patience_s
        with suppress(Enough):
            self.link.follow()
        assert until(), "the standby never came to that"

    def catch_up(self, owner: Owner) -> None:
        self.follow(lambda: self.copy.synced == owner.tail.synced)

    def close(self) -> None:
        self.copy.close()

    def replayed(self) -> MarkedReplica:
        """Of its log, from the beginning, by a replica that knows nothing else."""
        replica = MarkedReplica(Replica(CAPACITY, SEGMENT_BYTES), SEGMENT_BYTES)
        replica.follow(LogReader(self.log_dir, self.run_dir, Reader.AUDIT))
        return replica


class Relay:
    """Between a standby and its owner. `spoil` may change each piece that goes to the standby; None cuts the link."""

    def __init__(self, port: int, spoil: Callable[[bytes], bytes | None] = lambda piece: piece) -> None:
        self._target = port
        self.spoil = spoil
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(theirs, ours, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(ours, theirs, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_spoilt: bool) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                piece = self.spoil(data) if is_spoilt else data
                if piece is None:
                    break
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
