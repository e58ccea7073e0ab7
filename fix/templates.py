"""Dynamic sessions: how the session with a peer that nobody named is to be, by what its CompID looks like.

    members = SessionConfig("SIMULATOR", "", Role.ACCEPTOR)
    templates = Templates((Template("MEMBER-.*", members, sessions_max=100), Template("DESK[0-9]", desks)))
    Acceptor(folder, "SIMULATOR", application, admit, configure=templates.config_of)

The first template that matches a SenderCompID (49) makes its session. The acceptor gives each its own store; what a
peer has to prove before (`admit`) is another's question.

Always holds here: no template makes more than its `sessions_max` sessions, over restarts too, for the acceptor asks for
those in its folder first. A peer that matches none, or finds no place, is Refused, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fix.acceptor import SESSIONS_MAX, Refused
from fix.session_config import SessionConfig
from fix.session_state import Role

# Without a number of its own a template may take half of what the acceptor has, so that one kind of peers does not
# keep out all the others.
SESSIONS_USUAL: Final = SESSIONS_MAX // 2


@dataclass(frozen=True)
class Template:
    """`pattern` matches the whole CompID; `config` is how such a session is, whoever its `target`."""

    pattern: str
    config: SessionConfig
    sessions_max: int = SESSIONS_USUAL

    def __post_init__(self) -> None:
        if self.config.role is not Role.ACCEPTOR:
            raise ValueError(f"template {self.pattern!r}: an acceptor's sessions have the role ACCEPTOR")
        if not 0 < self.sessions_max <= SESSIONS_MAX:
            raise ValueError(
                f"template {self.pattern!r}: sessions_max {self.sessions_max}; give 1 to {SESSIONS_MAX}"
            )
        re.compile(self.pattern)


class Templates:
    """`config_of` is what an acceptor asks for. Remembers which sessions each template has made."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._made: list[tuple[Template, set[str]]] = [(template, set()) for template in templates]

    def config_of(self, target: str) -> SessionConfig:
        """Raises Refused."""
        for template, made in self._made:
            if re.fullmatch(template.pattern, target) is None:
                continue
            if target not in made and len(made) >= template.sessions_max:
                raise Refused(
                    f"SenderCompID (49) {target!r}: all {template.sessions_max} sessions of its kind are taken; "
                    "use one that you have"
                )
            made.add(target)
            return replace(template.config, target=target)
        raise Refused(f"SenderCompID (49) {target!r} is not known here, and is like none that is let in")
