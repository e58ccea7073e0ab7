"""The compiled codec on memory that ends at a page nobody may touch: `python -m tests.fix.wire_child SEED ROUNDS`.

Run in a process of its own: a read or write one byte outside ends it by SIGSEGV. Before and behind the writable
pages lies one without any right; what is parsed stands once at the very end and once at the very beginning.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import sys

import numpy as np

from fix import dictionary
from fix.codec import encode
from fix.wire import checks, groups, template, tokens, values
from fix.wire.frame import byte_sum, find_byte, frame
from fix.wire.template import NO_ROOM, Kind, build
from tests.fix.wire import fix

PAGE = mmap.PAGESIZE
PAGES = 4
PROT_NONE = 0


class Guarded:
    """Writable pages between two that end the process when they are touched."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, (PAGES + 2) * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (base, base + (PAGES + 1) * PAGE):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), PROT_NONE) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.first = base + PAGE
        self.end = self.first + PAGES * PAGE

    def at_end(self, data: bytes) -> int:
        address = self.end - len(data)
        ctypes.memmove(address, data, len(data))
        return address

    def at_first(self, data: bytes) -> int:
        ctypes.memmove(self.first, data, len(data))
        return self.first


SEEDS = (
    fix("35=D|34=7|49=A|56=B|52=20261124-06:39:16.123|11=x|38=100|44=187.25|54=1|55=AAPL"),
    fix("35=D|453=2|448=a|447=D|452=1|802=2|523=x|803=1|523=y|803=2|448=b|447=D|452=3|55=AAPL"),
    fix("35=0|34=1"),
    encode("FIXT.1.1", [(35, "A"), (95, "40"), (96, "\x01" * 40), (354, "2"), (355, "ab")]),
    b"8=FIX.4.4\x019=65536\x0135=",
    b"1=x\x01",
)
RULES = checks.rules_of(dictionary.load("FIX.4.4"), "D")
NUMBERS = checks.numbers_table(64)
READERS = (values.read_int, values.read_e8, values.read_utc_ns, values.read_char, values.read_bool)
ALPHABET = b"\x01=0123456789|8=FIX.4\x0110=9=35=95=96="


def mutated(random_: random.Random) -> bytes:
    data = bytearray(b"".join(random_.choices(SEEDS, k=random_.randint(1, 3))))
    for _ in range(random_.randint(0, 6)):
        at = random_.randrange(len(data) + 1)
        match random_.randrange(4):
            case 0:
                data[at:at] = bytes(random_.choices(ALPHABET, k=random_.randint(1, 9)))
            case 1:
                del data[at : at + random_.randint(1, 30)]
            case 2:
                data[at : at + 1] = bytes((random_.randrange(256),))
            case _:
                del data[at:]
    return bytes(data[: PAGES * PAGE])


def parse_all(address: int, length: int, table: np.ndarray, data_of: np.ndarray, members: np.ndarray) -> None:
    """Everything that reads, over one range. Ends: each answer of `frame` makes the rest shorter."""
    at = 0
    while (taken := frame(address + at, length - at)) != 0:
        assert abs(taken) <= length - at
        at += abs(taken)
    byte_sum(address, length)
    find_byte(address, 0, length, 1)
    count = tokens.tokenise(address, length, table, data_of)
    if count >= 0:
        checks.check(table, count, address, RULES, NUMBERS)
    for row in range(max(count, 0)):
        tag, offset, size = table[row].tolist()
        assert 0 < offset <= offset + size < length
        for reader in READERS:
            reader(address + offset, size)
        if tag == 453:
            groups.group(table, address, row, count, 448, members)
            groups.entry_end(table, row, count, 448, members)
    for size in range(min(length, 30) + 1):  # values at the very end
        for reader in READERS:
            reader(address + length - size, size)


def main(seed: int, rounds: int) -> None:
    memory, random_ = Guarded(), random.Random(seed)
    table, data_of = tokens.token_table(64), tokens.data_table()
    members = groups.members_table((447, 448, 452, 802, 523, 803))
    built = build(
        "FIX.4.4", "D", [(11, Kind.TEXT), (38, Kind.E8), (60, Kind.TIME_NS), (34, Kind.INT), (58, "fixed")]
    )
    text = Guarded()
    for _ in range(rounds):
        data = mutated(random_) if random_.random() < 0.8 else random_.randbytes(random_.randint(0, 300))
        for address in (memory.at_end(data), memory.at_first(data)):
            parse_all(address, len(data), table, data_of, members)
        words = random_.randbytes(random_.randint(1, 60))
        built.values[:2] = text.at_end(words), len(words)
        built.values[2:] = [random_.randint(-(2**63) + 1, 2**63 - 1) for _ in range(3)]
        room = random_.randint(0, 400)
        start, length = template.encode(built.template, built.values, memory.end - room, room)
        assert length in (NO_ROOM, template.BAD_VALUE) or start + length <= room
    sys.stdout.write("sound\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
