"""The accepting side over TCP or TLS: one port, any number of sessions, chosen by the CompIDs of the Logon.

    acceptor = Acceptor(folder, "SIMULATOR", application, admit=only({"TRADEWIND"}))
    await acceptor.listen("127.0.0.1", port)
    await acceptor.run()                        # until cancelled; then: await acceptor.close()

    acceptor.session("TRADEWIND").send([(MsgType.ExecutionReport, [...])], state=b"...")   # unasked, also
    offline

Always holds here: a connection is nobody's until its first message is a Logon to us that `admit` lets in; a
second Logon for a session that is connected is closed without a word, and the first goes on (as QuickFIX
does). The sessions whose stores are in `folder` are there from the start, so that they can be sent to before
they log on again.

Sessions may be dynamic: a peer that nobody named gets one, and a store of its own, when its Logon is let in and
`configure` has a configuration for it; `fix/templates.py` makes that out of templates, a bounded number for each.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from fix import codec
from fix.codec import Framer, Message, ParseError
from fix.connection import Clockwork, Connection
from fix.durable import Application, DurableSession, SessionKey, Wire
from fix.session import LOGON_TIMEOUT_NS, Role, Session, SessionConfig
from fix.store import Store
from fix.tags import MsgType, Tag
from fix.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S

log = logging.getLogger(__name__)

# Sessions with a store, and connections that have not logged on: each costs some file descriptors and memory.
SESSIONS_MAX: Final = 1024
UNKNOWN_CONNECTIONS_MAX: Final = 256
# A CompID becomes the name of a folder.
_COMP_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

# What lets a Logon in: None, or the reason why not, which the peer reads in the Text (58) of a Logout. With an
# empty reason the connection is closed without a word.
Admit = Callable[[SessionKey, Message], str | None]
# How the session with this peer (its SenderCompID) is to be. Raises Refused.
Configure = Callable[[str], SessionConfig]


class Refused(ValueError):
    """There is no session with this peer, and there will be none. The text, which names it, goes to it in a Logout."""


def only(comp_ids: Collection[str]) -> Admit:
    """Lets in the peers with these SenderCompIDs."""

    def admit(key: SessionKey, _logon: Message) -> str | None:
        return None if key.target in comp_ids else f"SenderCompID (49) {key.target!r} is not known here"

    return admit


class Acceptor:
    """`comp_id` is ours: the TargetCompID (56) that peers send. `folder` gets one store for each session.

    `configure` makes the sessions' configurations; without it they are FIX.4.4's with all its defaults. `guard` may put
    a wire of its own before each connection's (`fix/guarded_wire.py`).
    """

    def __init__(
        self,
        folder: Path,
        comp_id: str,
        application: Application,
        admit: Admit,
        sync: bool = False,
        clock: Callable[[], int] = time.time_ns,
        configure: Configure | None = None,
        guard: Callable[[DurableSession, Wire], Wire] = lambda _session, wire: wire,
    ) -> None:
        self.comp_id = comp_id
        self._configure = configure
        self._guard = guard
        self._folder = folder
        self._application = application
        self._admit = admit
        self._sync = sync
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._unknown: dict[Connection, Framer] = {}
        self._clockwork = Clockwork(self.sessions)
        self._sessions: dict[str, DurableSession] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for store in sorted(folder.iterdir()):
            if store.is_dir() and _COMP_ID.fullmatch(store.name):
                try:
                    self._open(store.name)
                except Refused as refused:
                    log.warning("the session of %s stays closed: %s", store, refused)

    def session(self, target: str) -> DurableSession | None:
        """The session with this peer, if it has ever logged on (or `open_session` was called for it)."""
        return self._sessions.get(target)

    def sessions(self) -> list[DurableSession]:
        return list(self._sessions.values())

    def open_session(self, target: str) -> DurableSession:
        """The session with this peer, made when there is none. Raises Refused,
        StoreError."""
        if (known := self._sessions.get(target)) is not None:
            return known
        if _COMP_ID.fullmatch(target) is None:
            raise Refused(f"CompID {target!r}: use letters, digits, '_', '.' and '-', at most 64")
        if len(self._sessions) >= SESSIONS_MAX:
            raise Refused(f"no room for a session with {target!r}: there are {SESSIONS_MAX}")
        return self._open(target)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Opens the port and returns its number (`port` 0: any free one). `tls`: see `fix/tls.py`. Raises
        OSError."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._received, self._lost, self._made),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if tls else None,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S if tls else None,
        )
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def run(self) -> None:
        """Heartbeats, time-outs, resends; until cancelled. Raises StoreError."""
        await self._clockwork.run()

    def end_with(self, error: BaseException) -> None:
        """Makes `run` raise `error`: for what an application does outside its callbacks."""
        self._clockwork.end_with(error)

    async def close(self, text: str = "") -> None:
        """Stops accepting, logs every session out, gives the peers a second to answer, closes the stores."""
        if self._server is not None:
            self._server.close()
        for session in self.sessions():
            session.logout(text)
        for _ in range(20):
            if not any(session.is_logged_on for session in self.sessions()):
                break
            await asyncio.sleep(0.05)
        for session in self.sessions():
            session.hang_up()
            session.close()
        for connection in list(self._unknown):
            connection.abort()

    # --- connections ----------------------------------------------------------------------------------

    def _open(self, target: str) -> DurableSession:
        config = (
            SessionConfig(self.comp_id, target, Role.ACCEPTOR)
            if self._configure is None
            else self._configure(target)
        )
        store = Store(self._folder / target, self._sync)
        session = DurableSession(config, store, self._application, self._clock)
        self._sessions[target] = session
        return session

    def _made(self, connection: Connection) -> None:
        if len(self._unknown) >= UNKNOWN_CONNECTIONS_MAX:
            connection.abort()
            return
        self._unknown[connection] = Framer()
        asyncio.get_running_loop().call_later(LOGON_TIMEOUT_NS / 1e9, self._give_up, connection)

    def _received(self, connection: Connection, data: bytes) -> None:
        if (session := connection.session) is not None:
            self._clockwork.guard(lambda: session.received(data))
        else:
            self._clockwork.guard(lambda: self._introduce(connection, data))

    def _lost(self, connection: Connection) -> None:
        self._unknown.pop(connection, None)
        if (session := connection.session) is not None:
            self._clockwork.guard(session.disconnected)

    def _introduce(self, connection: Connection, data: bytes) -> None:
        """The first bytes of a connection: wait for a whole message, then it is a Logon or the end."""
        framer = self._unknown.get(connection)
        if framer is None:
            return  # refused, and not gone yet
        framer.feed(data)
        frame = framer.next_frame()
        if frame is None:
            if framer.garbled:
                connection.abort()
            return
        del self._unknown[connection]
        try:
            logon = codec.parse(frame)
        except ParseError:
            connection.close()
            return
        self._log_on(connection, logon, frame + framer.rest())

    def _log_on(self, connection: Connection, logon: Message, data: bytes) -> None:
        ours, theirs = logon.get(Tag.TargetCompID), logon.get(Tag.SenderCompID) or ""
        if logon.type != MsgType.Logon or ours != self.comp_id or _COMP_ID.fullmatch(theirs) is None:
            connection.close()  # FIX session test cases 1c, 1e: not for us, so not a word
            return
        session = self._sessions.get(theirs)
        if session is not None and session.is_connected:
            connection.close()
            return
        refusal = self._admit(SessionKey(self.comp_id, theirs), logon)
        if refusal == "":
            connection.close()
            return
        if refusal is None and session is None:
            try:
                session = self.open_session(theirs)
            except Refused as refused:
                refusal = str(refused)
        if session is None:
            self._refuse_stranger(connection, theirs, refusal or "")
            return
        connection.session = session
        session.connected(self._guard(session, connection))
        if refusal is None:
            session.received(data)
        else:
            session.refuse(refusal)

    def _refuse_stranger(self, connection: Connection, theirs: str, refusal: str) -> None:
        """A Logout with the reason, of a session that never was: nobody who is not let in gets a store."""
        now_ns = self._clock()
        nobody = Session(SessionConfig(self.comp_id, theirs, Role.ACCEPTOR))
        nobody.connected(now_ns)
        nobody.refuse(refusal, now_ns)
        connection.write(b"".join(sent.raw for sent in nobody.take_outgoing()))
        connection.close()

    def _give_up(self, connection: Connection) -> None:
        if connection in self._unknown:
            connection.abort()
