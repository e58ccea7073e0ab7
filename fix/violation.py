"""A message that breaks a rule, as the one exception that everything which looks at messages raises."""

from __future__ import annotations

from fix.tags import REJECT_TEXT, RejectReason


class Violation(Exception):
    """The message gets a Reject (3) with this reason (373) and tag (371; None: no single one is to blame).

    It takes its sequence number all the same. `fatal`: a Logout follows, for the peer is not who it should be
    or its clock is wrong.
    """

    def __init__(self, reason: RejectReason, tag: int | None = None, fatal: bool = False) -> None:
        super().__init__(REJECT_TEXT[reason])
        self.reason = reason
        self.tag = None if tag is None else int(tag)
        self.fatal = fatal
