"""What a FIX session of a key may do: how fast, and what becomes of its open orders when it drops; and how strictly
the door looks at what clients send.

The first two stand with the key in credentials.json, all of it optional:

    {"key_id": "…", "secret_sha256": "…", "account": "TW000001",
     "fix": {"messages": 200, "window_ms": 1000, "cancel_on": "drop", "grace_ms": 5000}}
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from fix.acceptor import Configure
from fix.dictionary import load
from fix.session import Role, SessionConfig
from fix.tags import OrdRejReason
from fix.throttle import MESSAGES_MAX, Throttle
from fix.validation import Strictness, Validator
from gateways.fix_wire import Refusal
from gateways.pace import too_fast

# Far more than a client sends who means it, and less than a ring of orders holds: one that runs wild is
# refused before it fills the desk for all.
MESSAGES_USUAL: Final = 10_000
# A connection that is to come back does so within this; later, what its client knows is too old.
GRACE_MS_MAX: Final = 3_600_000


class FixRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`messages`, orders and cancels that were taken, within any `window_ms`; at the limit new orders are refused,
    cancels pass.

    `cancel_on`: "drop" cancels the session's open orders when the connection ends without a Logout, "end" after a
    Logout too, "never" leaves them. They are cancelled `grace_ms` after it, unless it is back by then.
    """

    messages: Annotated[int, msgspec.Meta(ge=1, le=MESSAGES_MAX)] = MESSAGES_USUAL
    window_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)] = 1000
    cancel_on: Literal["never", "drop", "end"] = "never"
    grace_ms: Annotated[int, msgspec.Meta(ge=0, le=GRACE_MS_MAX)] = 5000


# What the door speaks.
VERSION: Final = "FIX.4.4"
EVERY_RULE: Final = "all"


def client_sessions(comp_id: str, lenient: frozenset[str] = frozenset()) -> Configure:
    """How the door's sessions are, `comp_id` being the door's: what breaks a rule of the dictionary is rejected with
    its reason (373), but for the rules named in `lenient` (`fix.validation.Strictness`); EVERY_RULE leaves all out."""
    validator = None
    if EVERY_RULE not in lenient:
        validator = Validator(load(VERSION), strictness=Strictness(**dict.fromkeys(lenient, False)))
    return lambda target: SessionConfig(comp_id, target, Role.ACCEPTOR, VERSION, validator=validator)


def check_pace(throttle: Throttle, now_ns: int) -> None:
    """Raises Refusal for a new order at the limit of its session's throttle."""
    if why := too_fast(throttle, now_ns):
        raise Refusal(why, OrdRejReason.BROKER_OPTION)
