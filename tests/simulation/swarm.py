"""What a seed's world is like: how often each thing happens in it.

A run with every fault at a middling rate never sees what needs one fault alone, or many of one kind. So each seed
draws its own rates, most faults absent in most seeds (swarm testing: Groce et al., ISSTA 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

# What the desk and its clients do, in shares of a step.
WORK: Final = {
    "order": 8.0,
    "cancel": 2.0,
    "replace": 2.0,
    "ask again": 0.7,
    "deposit": 0.5,
    "account state": 0.2,
    "quote": 4.0,
    "turn": 12.0,
    "flush": 7.0,
    "timers": 0.7,
    "route": 8.0,
    "router tick": 3.0,
    "deliver": 16.0,
    "venue tick": 3.0,
    "bust": 0.4,
    "answers": 6.0,
    "project": 2.0,
    "publish": 3.0,
    "consume": 3.0,
    "snapshot": 0.4,
    "wait": 0.6,
    "restart": 5.0,
}
# What goes wrong. The same, where a seed has it.
FAULTS: Final = {
    "kill shard": 0.8,
    "kill router": 0.6,
    "kill venue": 0.5,
    "kill follower": 0.4,
    "power cut": 0.5,
    "venue's power cut": 0.2,
    "cut line": 0.6,
    "half-open line": 0.3,
    "partition": 0.4,
    "middlebox": 0.4,
    "clock jumps": 0.15,
    "heal": 1.0,
    "disk error": 0.3,
    "disk full": 0.25,
    "damage": 0.5,
    "audit": 0.15,
}
# Each fault is in a seed with this probability; "heal" and "audit" always are.
FAULT_PRESENT: Final = 0.45
ALWAYS: Final = ("heal", "audit")


@dataclass(frozen=True)
class Swarm:
    """`shares`: what a step is, by name. `synced`: the gate. `ill`: the venue is ill-tempered."""

    shares: dict[str, float]
    steps: int
    synced: bool
    ill: bool
    busts: bool
    fragments: float  # how often a delivery ends within a message
    torn: float  # of the sectors that a power cut finds unsynced: how many are half new

    @classmethod
    def drawn(cls, rng: Random, steps: int) -> Swarm:
        synced = rng.random() < 0.7
        shares = {name: share * rng.choice((0.3, 1, 1, 1, 3)) for name, share in WORK.items()}
        for name, share in FAULTS.items():
            if name in ALWAYS or rng.random() < FAULT_PRESENT:
                shares[name] = share * rng.choice((0.5, 1, 1, 3))
        return cls(
            shares=shares,
            steps=rng.randrange(steps // 2, steps * 3 // 2),
            synced=synced,
            ill=rng.random() < 0.25,
            busts=rng.random() < 0.4,
            fragments=rng.choice((0.0, 0.2, 0.7)),
            torn=rng.choice((0.0, 0.1, 0.5)),
        )
