"""What the FIX soak is judged by: the stores when all is over, and the memory and descriptors of the processes.

Always holds here: nothing is forgiven that is counted. Memory may grow by RSS_GROWTH_KIB_MAX between the end of the
warm-up and the end, open files by none: at the end every session is logged on, and so it was when they were counted
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from fix.codec import parse
from fix.store import Store
from fix.tags import Tag
from loadtests.soak_side import Counts

# What may be added to a process with twenty sessions: where the messages of each store's newest segment begin (4 bytes
# each, 70,000 in a segment: 5.6 MiB for twenty), a resend's buffers, what the allocator keeps of a burst.
RSS_GROWTH_KIB_MAX: Final = 12 * 1024
# Looks at open files that make the first count: the most of them, for a connection may be missing in one, lost since
# its side told that all are logged on.
FIRST_FILES: Final = 10


@dataclass
class Life:
    """One process from its start to its end: memory in KiB and open files, at the end of the warm-up and last."""

    process: psutil.Process
    began_s: float
    looks: int = 0
    rss_warm: int = 0
    rss_end: int = 0
    rss_peak: int = 0
    files_warm: int = 0
    files_end: int = 0
    full_looks: int = 0

    def look(self, now_s: float, warm_up_s: float, is_full: bool) -> None:
        """`is_full`: every session is logged on, as far as it has been told."""
        try:
            rss, files = self.process.memory_info().rss // 1024, self.process.num_fds()
        except psutil.NoSuchProcess:
            return
        self.looks += 1
        self.rss_end, self.rss_peak = rss, max(rss, self.rss_peak)
        if now_s - self.began_s < warm_up_s:
            return
        self.rss_warm = self.rss_warm or rss
        if is_full:
            self.files_end = files
            self.full_looks += 1
            if self.full_looks <= FIRST_FILES:
                self.files_warm = max(files, self.files_warm)

    def violations(self, name: str, is_last: bool) -> Iterator[str]:
        """`is_last`: it lived until all sessions were logged on for good, so that its open files can be counted."""
        if self.rss_warm and self.rss_end > self.rss_warm + RSS_GROWTH_KIB_MAX:
            yield f"{name}: memory grew from {self.rss_warm} to {self.rss_end} KiB"
        if is_last and self.files_end > self.files_warm:
            yield f"{name}: open files grew from {self.files_warm} to {self.files_end}"


def audit(name: str, initiator: Path, acceptor: Path) -> tuple[int, int, list[str]]:
    """Both stores of one session: how many messages went to the acceptor and to the initiator, and what is wrong."""
    near, far = Store(initiator), Store(acceptor)
    try:
        violations = [f"{name}: {text}" for text in _compared(near, far)]
        return Counts.of_bytes(near.state).sent, Counts.of_bytes(far.state).sent, violations
    finally:
        near.close()
        far.close()


def _compared(near: Store, far: Store) -> Iterator[str]:
    if near.generation or far.generation:
        yield f"the numbers began anew: {near.generation} and {far.generation} times"
    for who, sender, receiver in (("initiator", near, far), ("acceptor", far, near)):
        sent, heard = Counts.of_bytes(sender.state).sent, Counts.of_bytes(receiver.state).heard
        if sent != heard:
            yield f"the {who} sent {sent} messages, and {heard} were heard"
        if sender.next_out != receiver.next_in:
            yield f"the {who} is at number {sender.next_out}, its peer expects {receiver.next_in}"
        yield from _stored(who, sender, sent)


def _stored(who: str, store: Store, sent: int) -> Iterator[str]:
    """Each message stands once, in its order, under a number of its own."""
    due = last_seq = 0
    for stored in store.read(1, store.next_out - 1):
        message = parse(stored.raw)
        if message.seq != stored.seq or stored.seq <= last_seq:
            yield f"the {who}'s store has number {message.seq} where {stored.seq} is due"
            return
        if message.get(Tag.ClOrdID) != str(due):
            yield f"the {who}'s store has message {message.get(Tag.ClOrdID)} where {due} is due"
            return
        due, last_seq = due + 1, stored.seq
    if due != sent:
        yield f"the {who}'s store has {due} messages, and {sent} were sent"
