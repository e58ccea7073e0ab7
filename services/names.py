"""Names: the account's number as people know it and the instrument's symbol, by the shard's small integers.

An event has the integers; a follower wants the names. They are learned from the ACCOUNT and INSTRUMENT events
as these pass, and what passed before this process started is asked of the shard's own tables. A name is never
given to another number, so it does not matter that the tables are ahead of the event being read.
"""

from __future__ import annotations

from typing import Final, Protocol

from core.events import Event
from core.records import EventKind

# A million accounts' names would be 150 MB here; what is forgotten is asked again, for a microsecond or two.
ACCOUNTS_REMEMBERED_MAX: Final = 65_536


class NamesUnavailable(RuntimeError):
    """The shard's tables can't be read now: it has not started yet. Wait, and ask again."""


class NameSource(Protocol):
    """Where names are asked: the shard's tables. None: there is no such thing. Raises NamesUnavailable."""

    def account_text(self, account: int) -> str | None: ...

    def symbol(self, instrument: int) -> str | None: ...


class Names:
    """The directory of one shard, for one reader of its log."""

    def __init__(self, source: NameSource) -> None:
        self._source = source
        self._accounts: dict[int, str] = {}
        self._symbols: dict[int, str] = {}

    def learn(self, event: Event) -> None:
        """Keep the name that an ACCOUNT or INSTRUMENT event brings. Rejected ones name nothing."""
        if event.reject_code:
            return
        if event.kind == EventKind.ACCOUNT and event.account and event.text:
            self._remember(event.account, event.text)
        elif event.kind == EventKind.INSTRUMENT and event.instrument and event.text:
            self._symbols[event.instrument] = event.text

    def account(self, account: int) -> str:
        """The account's number as people know it; empty if there is none."""
        known = self._accounts.get(account)
        if known is None and account:
            known = self._source.account_text(account)
            if known is not None:
                self._remember(account, known)
        return known or ""

    def symbol(self, instrument: int) -> str:
        """The instrument's symbol; empty if there is none."""
        known = self._symbols.get(instrument)
        if known is None and instrument:
            known = self._source.symbol(instrument)
            if known is not None:
                self._symbols[instrument] = known
        return known or ""

    def _remember(self, account: int, text: str) -> None:
        if len(self._accounts) >= ACCOUNTS_REMEMBERED_MAX and account not in self._accounts:
            del self._accounts[next(iter(self._accounts))]  # the oldest: dicts keep their order
        self._accounts[account] = text
