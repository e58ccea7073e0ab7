"""What a FIX session of a key may do: how fast, and what becomes of its open orders when it drops.

Stands with the key in credentials.json, all of it optional:

    {"key_id": "…", "secret_sha256": "…", "account": "TW000001",
     "fix": {"messages": 200, "window_ms": 1000, "cancel_on": "drop", "grace_ms": 5000}}
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from fix.throttle import MESSAGES_MAX

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
