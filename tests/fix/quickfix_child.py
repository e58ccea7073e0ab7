"""Real QuickFIX (C++ with its Python binding) in a process of its own: it crashes now and then when it is
stopped.

`quickfix_child.py acceptor|initiator FOLDER PORT SENDER TARGET LOGON SETTINGS`, LOGON being a JSON object of
tags for its Logon, SETTINGS one of QuickFIX's own settings besides; with certificates among them it speaks
TLS, with a dictionary it validates; Answers=N is ours: an acceptor then answers no order. It reads JSON lines
[msg_type, [[tag, value], ...]] to send, "stop" to log out, and writes JSON lines:
["logon"], ["logout"], ["heard", raw message].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import quickfix

SETTINGS: Final = """[DEFAULT]
ConnectionType={kind}
FileStorePath={folder}
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=30
ReconnectInterval=1
UseDataDictionary={validates}
SocketAcceptPort={port}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketReuseAddress=Y
{more}
[SESSION]
BeginString={version}
SenderCompID={sender}
TargetCompID={target}
"""


def tell(*what: str) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Application(quickfix.Application):  # type: ignore[misc]
    """Tells what happens; as an acceptor it answers each order with one report."""

    def __init__(self, answers: bool, logon: dict[str, str]) -> None:
        super().__init__()
        self._answers = answers
        self._logon = logon

    def onCreate(self, session_id: Any) -> None: ...

    def onLogon(self, session_id: Any) -> None:
        tell("logon")

    def onLogout(self, session_id: Any) -> None:
        tell("logout")

    def toAdmin(self, message: Any, session_id: Any) -> None:
        kind = quickfix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == "A":
            for tag, value in self._logon.items():
                message.setField(quickfix.StringField(int(tag), value))

    def fromAdmin(self, message: Any, session_id: Any) -> None: ...

    def toApp(self, message: Any, session_id: Any) -> None: ...

    def fromApp(self, message: Any, session_id: Any) -> None:
        tell("heard", message.toString())
        if self._answers:
            name = quickfix.ClOrdID()
            message.getField(name)
            send(session_id, "8", [(37, "7"), (11, name.getValue()), (17, f"E-{name.getValue()}"), (150, "0"),
                                   (39, "0"), (55, "AAPL"), (54, "1"), (151, "10"), (14, "0"), (6, "0")])  # fmt: skip


def send(session_id: Any, msg_type: str, fields: list[tuple[int, str]]) -> None:
    message = quickfix.Message()
    message.getHeader().setField(quickfix.StringField(35, msg_type))
    for tag, value in fields:
        message.setField(quickfix.StringField(int(tag), value))
    quickfix.Session.sendToTarget(message, session_id)


def main(
    kind: str,
    folder: Path,
    port: str,
    sender: str,
    target: str,
    logon: dict[str, str],
    more: dict[str, str],
) -> None:
    folder.mkdir(exist_ok=True)
    config = folder / "quickfix.cfg"
    version, answers = more.pop("BeginString", "FIX.4.4"), more.pop("Answers", "Y") == "Y"
    validates = "Y" if any(name.endswith("DataDictionary") for name in more) else "N"
    lines = "\n".join(f"{name}={value}" for name, value in more.items())
    config.write_text(
        SETTINGS.format(
            kind=kind,
            folder=folder,
            port=port,
            sender=sender,
            target=target,
            version=version,
            validates=validates,
            more=lines,
        )
    )
    settings = quickfix.SessionSettings(str(config))
    application = Application(kind == "acceptor" and answers, logon)
    store, log = quickfix.FileStoreFactory(settings), quickfix.FileLogFactory(str(folder / "log"))
    tls = "SSL" if "CertificationAuthoritiesFile" in more else ""
    make = getattr(quickfix, f"{tls}Socket{kind.capitalize()}")
    runner = make(application, store, settings, log)
    runner.start()
    session_id = quickfix.SessionID(version, sender, target)
    for line in sys.stdin:
        if line.strip() == "stop":
            runner.stop()
            return
        msg_type, fields = json.loads(line)
        send(session_id, msg_type, fields)


if __name__ == "__main__":
    role, where, number, ours, theirs, logon_json, settings_json = sys.argv[1:]
    main(role, Path(where), number, ours, theirs, json.loads(logon_json), json.loads(settings_json))
