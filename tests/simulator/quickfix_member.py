"""A member that is real QuickFIX (C++, with its Python binding), in a process of its own, and holds every
message to QuickFIX's own dictionary of FIX 4.4: what does not fit it, it rejects.

`python -m tests.simulator.quickfix_member FOLDER PORT SENDER` reads and writes the JSON lines of
tests/fix/quickfix_child.py. The exchange's user-defined tags (20001 and up) are in no dictionary.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

import quickfix

from tests.fix.quickfix_child import Application, send

SETTINGS: Final = """[DEFAULT]
ConnectionType=initiator
FileStorePath={folder}
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=30
ReconnectInterval=1
UseDataDictionary=Y
DataDictionary={dictionary}
ValidateUserDefinedFields=N
ValidateFieldsOutOfOrder=Y
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
[SESSION]
BeginString=FIX.4.4
SenderCompID={sender}
TargetCompID=SIMULATOR
"""


def main(folder: Path, port: str, sender: str) -> None:
    folder.mkdir(exist_ok=True)
    config = folder / "quickfix.cfg"
    dictionary = files("fixcore") / "specs" / "FIX44.xml"
    config.write_text(SETTINGS.format(folder=folder, dictionary=dictionary, port=port, sender=sender))
    settings = quickfix.SessionSettings(str(config))
    application = Application(False, {})
    store, log = quickfix.FileStoreFactory(settings), quickfix.FileLogFactory(str(folder / "log"))
    runner = quickfix.SocketInitiator(application, store, settings, log)
    runner.start()
    session_id = quickfix.SessionID("FIX.4.4", sender, "SIMULATOR")
    for line in sys.stdin:
        if line.strip() == "stop":
            runner.stop()
            return
        msg_type, fields = json.loads(line)
        send(session_id, msg_type, fields)


if __name__ == "__main__":
    where, number, ours = sys.argv[1:]
    main(Path(where), number, ours)
