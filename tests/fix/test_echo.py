"""The echo acceptor, over TCP, as the acceptance scripts find it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fix import echo, timestamps
from fix.codec import Framer, encode
from tests.fix.wire import show

ORDER = "11=A|55=IBM|54=1|60=20261124-12:00:00|40=1|21=1"


class Peer:
    """A connection that says what it is told to, with numbers of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader, self._writer = reader, writer
        self._name = name
        self._seq = 0
        self._framer = Framer()

    def say(self, msg_type: str, body: str, version: str = "FIX.4.4") -> None:
        self._seq += 1
        now = timestamps.format_ns(time.time_ns())  # the acceptor looks at it by its own clock
        text = f"35={msg_type}|34={self._seq}|49={self._name}|52={now}|56=ISLD|{body}".rstrip("|")
        fields = [(int(tag), value) for tag, _, value in (part.partition("=") for part in text.split("|"))]
        self._writer.write(encode(version, fields))

    async def hear(self) -> str:
        """The next message, or "" at the end of the connection."""
        async with asyncio.timeout(10):
            while (frame := self._framer.next_frame()) is None:
                data = await self._reader.read(65536)
                if not data:
                    return ""
                self._framer.feed(data)
        return show(frame)

    async def ask(self, msg_type: str, body: str, version: str = "FIX.4.4") -> str:
        self.say(msg_type, body, version)
        return await self.hear()


@asynccontextmanager
async def an_echo(folder: Path, version: str, name: str, *given: tuple[str, str]) -> AsyncIterator[Peer]:
    """An echo acceptor, and one connection to it."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    options = echo.options_of(version, "strict", dict(given))
    serving = asyncio.create_task(echo.serve("127.0.0.1", 0, options, folder, port.set_result))
    reader, writer = await asyncio.open_connection("127.0.0.1", await port)
    try:
        yield Peer(reader, writer, name)
    finally:
        writer.close()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


async def test_an_order_comes_back_in_ascending_order_with_its_groups_as_they_were(tmp_path: Path) -> None:
    async with an_echo(tmp_path, "4.4", "TW44") as peer:
        assert await peer.ask("A", "98=0|108=30") == "35=A|34=1|98=0|108=30"
        groups = "453=2|448=Y|447=D|452=3|448=X|447=D|452=1|38=002.50"
        said = await peer.ask("D", f"{ORDER}|{groups}")
        assert said == (
            "35=D|34=2|11=A|21=1|38=002.50|40=1|54=1|55=IBM|453=2|448=Y|447=D|452=3|448=X|447=D|452=1"
        )


async def test_a_possible_resend_of_a_known_order_is_dropped_and_of_another_is_not(tmp_path: Path) -> None:
    async with an_echo(tmp_path, "4.4", "TW") as peer:
        await peer.ask("A", "98=0|108=30")
        await peer.ask("D", ORDER)
        peer.say("D", f"97=Y|{ORDER}")
        said = await peer.ask("D", f"97=Y|{ORDER.replace('11=A', '11=B')}")
        assert said == "35=D|34=3|97=Y|11=B|21=1|40=1|54=1|55=IBM"


async def test_what_is_not_echoed_is_not_supported(tmp_path: Path) -> None:
    async with an_echo(tmp_path, "all", "TW44") as peer:
        await peer.ask("A", "98=0|108=30")
        said = await peer.ask("B", "115=DESK|148=News|33=1|58=line")
        assert said == "35=j|34=2|128=DESK|45=2|58=Unsupported Message Type|372=B|380=3"


@pytest.mark.parametrize(("name", "version"), [("WT", "FIX.4.4"), ("TW44", "FIX.4.2"), ("TW", "FIX.4.4")])
async def test_a_stranger_hears_nothing(name: str, version: str, tmp_path: Path) -> None:
    async with an_echo(tmp_path, "all", name) as peer:
        assert await peer.ask("A", "98=0|108=30", version) == ""


async def test_an_option_is_taken_in_any_case(tmp_path: Path) -> None:
    async with an_echo(tmp_path, "4.4", "TW44", ("usedatadictionary", "n")) as peer:
        await peer.ask("A", "98=0|108=30")
        assert await peer.ask("D", "11=A|9999=x") == "35=D|34=2|11=A|9999=x"


@pytest.mark.parametrize(
    ("version", "name", "value", "said"),
    [
        ("4.4", "Nix", "Y", "no option 'Nix'; there are ResetOnLogon"),
        ("4.4", "ResetOnLogon", "yes", "ResetOnLogon: 'yes' is neither Y nor N"),
        ("4.4", "MaxLatency", "-1", "MaxLatency: '-1' is not a number"),
        ("4.4", "TimeStampPrecision", "4", "none of 0, 3, 6, 9"),
        ("4.4", "Framing", "x", "none of quickfix, resync"),
        ("6.0", "ResetOnLogon", "Y", "no version '6.0'; there are 4.0"),
    ],
)
def test_an_option_that_can_not_be_meant_is_named(version: str, name: str, value: str, said: str) -> None:
    with pytest.raises(echo.OptionError, match=said):
        echo.options_of(version, "strict", {name: value})
