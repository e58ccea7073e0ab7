"""The other end of a test: QuickFIX in a process of its own, told what to send and asked what it heard."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from fix.codec import Message, parse
from fix.durable import Outgoing
from fix.tls import TlsFiles


def tls_settings(kind: str, files: TlsFiles) -> dict[str, str]:
    """QuickFIX's names for a certificate of its own and an authority of ours, which its peer must have."""
    side = "Server" if kind == "acceptor" else "Client"
    return {
        f"{side}CertificateFile": str(files.cert),
        f"{side}CertificateKeyFile": str(files.key),
        "CertificationAuthoritiesFile": str(files.ca),
        "CertificateVerifyLevel": "2",
    }


def numbers_of(folder: Path, sender: str, target: str) -> tuple[int, int]:
    """(next out, next in), as QuickFIX's file store has them."""
    text = (folder / f"FIX.4.4-{sender}-{target}.seqnums").read_text()
    return tuple(int(part) for part in text.split(":"))  # type: ignore[return-value]


ROOT = Path(__file__).resolve().parents[2]


class QuickFix:
    """One QuickFIX session. `heard`: the messages of the application, as they came."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.heard: list[Message] = []
        self.is_logged_on = False
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        kind: str,
        folder: Path,
        port: int,
        sender: str,
        target: str,
        logon: dict[int, str],
        settings: dict[str, str] | None = None,
    ) -> QuickFix:
        arguments = (
            kind,
            str(folder),
            str(port),
            sender,
            target,
            json.dumps(logon),
            json.dumps(settings or {}),
        )
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "tests.fix.quickfix_child", *arguments)
        return cls(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe))

    def names(self) -> list[str | None]:
        """ClOrdID of each message heard."""
        return [message.get(11) for message in self.heard]

    def send(self, *messages: Outgoing) -> None:
        assert self._process.stdin is not None
        for msg_type, fields in messages:
            line = json.dumps([msg_type, [(int(tag), value) for tag, value in fields]])
            self._process.stdin.write(line.encode() + b"\n")

    async def stop(self) -> None:
        """Logs out and ends."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"stop\n")
        await self._process.wait()

    async def kill(self) -> None:
        """kill -9."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not line.startswith(b"["):
                continue  # its TLS says on the same pipe what it does
            what, *rest = json.loads(line)
            if what == "heard":
                self.heard.append(parse(rest[0].encode("latin-1")))
            else:
                self.is_logged_on = what == "logon"
