"""An acceptor that echoes: what QuickFIX's acceptance scripts are played against.

    await serve("127.0.0.1", port, options_of("4.4", "strict", {}), folder, print)

Its CompID is ISLD; its peers are TW40 ... TW50SP2, each of which speaks the version in its name, and TW, which
speaks the only one where there is only one. Orders (D), lists of instruments (d) and e-mails (C) come back with
their body fields in ascending order and their values untouched; a possible resend (97=Y) of an order that it has
had since the logon is dropped; anything else is answered with a BusinessMessageReject.

Must not do: serve anybody but a test. It lets in whoever has the right name, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from fix.acceptor import Acceptor
from fix.codec import Framer, Message
from fix.dictionary import Block, Dictionary, load
from fix.durable import DurableSession, Outgoing, SessionKey
from fix.quickfix_framing import QuickFixFramer
from fix.session import Role, SessionConfig
from fix.session_config import Framing
from fix.tags import REVERSE_ROUTES, BusinessReason, MsgType, Tag
from fix.timestamps import NS_PER_S
from fix.validation import Strictness, Validator

COMP_ID: Final = "ISLD"
# What users say -> (BeginString, DefaultApplVerID, the dictionary's name, the peer's CompID).
VERSIONS: Final = {
    "4.0": ("FIX.4.0", "", "FIX.4.0", "TW40"),
    "4.1": ("FIX.4.1", "", "FIX.4.1", "TW41"),
    "4.2": ("FIX.4.2", "", "FIX.4.2", "TW42"),
    "4.3": ("FIX.4.3", "", "FIX.4.3", "TW43"),
    "4.4": ("FIX.4.4", "", "FIX.4.4", "TW44"),
    "5.0": ("FIXT.1.1", "7", "FIX.5.0", "TW50"),
    "5.0SP1": ("FIXT.1.1", "8", "FIX.5.0SP1", "TW50SP1"),
    "5.0SP2": ("FIXT.1.1", "9", "FIX.5.0SP2", "TW50SP2"),
}
ANY_PEER: Final = "TW"
ECHOED: Final = frozenset((MsgType.NewOrderSingle, "d", "C"))
# Orders of one logon that are remembered for their possible resends. A script sends a dozen.
ORDERS_MAX: Final = 100_000


class OptionError(ValueError):
    """An option that there is not, or a value that it can't have. Names those that there are."""


@dataclass(frozen=True)
class Options:
    """What the acceptor is to be like: QuickFIX's settings, under its names in `OPTIONS`."""

    versions: tuple[str, ...]
    dictionary: bool = True
    framing: str = "quickfix"
    session: dict[str, Any] = field(default_factory=dict)  # fields of SessionConfig
    strictness: Strictness = field(default_factory=Strictness)


def _flag(text: str) -> bool:
    if text.upper() not in ("Y", "N"):
        raise OptionError(f"{text!r} is neither Y nor N")
    return text.upper() == "Y"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise OptionError(f"{text!r} is not a number")
    return int(text)


def _digits(text: str) -> int:
    if text not in ("0", "3", "6", "9"):
        raise OptionError(f"{text!r} is none of 0, 3, 6, 9")
    return int(text)


def _session(name: str, value: Callable[[str], object]) -> Callable[[Options, str], Options]:
    return lambda options, text: replace(options, session=options.session | {name: value(text)})


def _strict(name: str, value: Callable[[str], bool]) -> Callable[[Options, str], Options]:
    return lambda options, text: replace(
        options, strictness=replace(options.strictness, **{name: value(text)})
    )


def _framing(options: Options, text: str) -> Options:
    if text not in FRAMINGS:
        raise OptionError(f"{text!r} is none of {', '.join(FRAMINGS)}")
    return replace(options, framing=text)


def _ns(text: str) -> int:
    return _number(text) * NS_PER_S


FRAMINGS: Final[dict[str, Callable[[], Framing]]] = {"quickfix": QuickFixFramer, "resync": Framer}
OPTIONS: Final[dict[str, Callable[[Options, str], Options]]] = {
    "ResetOnLogon": _session("reset_on_logon", _flag),
    "ResetOnLogout": _session("reset_on_logout", _flag),
    "ResetOnDisconnect": _session("reset_on_disconnect", _flag),
    "MaxLatency": _session("sending_time_skew_ns_max", _ns),
    "LogonTimeout": _session("logon_timeout_ns", _ns),
    "LogoutTimeout": _session("logout_timeout_ns", _ns),
    "TimeStampPrecision": _session("time_digits", _digits),
    "ResendRequestChunkSize": _session("resend_chunk", _number),
    "EnableNextExpectedMsgSeqNum": _session("next_expected", _flag),
    "EnableLastMsgSeqNumProcessed": _session("last_processed", _flag),
    "UseDataDictionary": lambda options, text: replace(options, dictionary=_flag(text)),
    "ValidateFieldsOutOfOrder": _strict("order", _flag),
    "ValidateUserDefinedFields": _strict("user_defined", _flag),
    "ValidateFieldsHaveValues": _session("empty_values", lambda text: not _flag(text)),
    "AllowUnknownMsgFields": _strict("unknown_fields", lambda text: not _flag(text)),
    "Framing": _framing,
}


def options_of(version: str, dialect: str, given: Mapping[str, str]) -> Options:
    """`version`: one of VERSIONS, or "all". `dialect` is what the options are before the `given` ones: "strict"
    as QuickFIX's own scripts want it, "quickfixj" as those of QuickFIX/J do. Raises OptionError."""
    by_small_version = {name.lower(): (name,) for name in VERSIONS} | {"all": tuple(VERSIONS)}
    if (versions := by_small_version.get(version.lower())) is None:
        raise OptionError(f"there is no version {version!r}; there are {', '.join(VERSIONS)} and all")
    options = Options(versions)
    if dialect == "quickfixj":
        options = replace(options, framing="resync", session={"reset_on_disconnect": True})
    else:
        options = replace(options, session={"reset_on_logon": True, "terse": True})
    by_small_name = {name.lower(): name for name in OPTIONS}
    for small_name, text in given.items():
        name = by_small_name.get(small_name.lower())
        if name is None:
            raise OptionError(f"there is no option {small_name!r}; there are {', '.join(OPTIONS)}")
        try:
            options = OPTIONS[name](options, text)
        except OptionError as error:
            raise OptionError(f"option {name}: {error}") from None
    return options


def config_of(version: str, target: str, options: Options) -> SessionConfig:
    """The session with `target`, which speaks `version`."""
    begin_string, appl_ver_id, name, _ = VERSIONS[version]
    validator = None
    if options.dictionary:
        session = load("FIXT.1.1") if appl_ver_id else None
        validator = Validator(load(name), session, options.strictness, appl_ver_id)
    return SessionConfig(
        COMP_ID,
        target,
        Role.ACCEPTOR,
        begin_string,
        appl_ver_id=appl_ver_id,
        validator=validator,
        framing=FRAMINGS[options.framing],
        **options.session,
    )


class Echo:
    """The application. `version_of` says which version a peer, by its CompID, speaks."""

    def __init__(self, version_of: Callable[[str], str]) -> None:
        self._version_of = version_of
        self._orders: dict[SessionKey, dict[str, None]] = {}

    def on_logon(self, session: DurableSession) -> None:
        self._orders[session.key] = {}

    def on_logout(self, session: DurableSession) -> None:
        self._orders.pop(session.key, None)

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        if message.type == MsgType.Reject:
            return []
        if message.type not in ECHOED:
            return [_unsupported(message, self._version_of(session.key.target))]
        if message.type == MsgType.NewOrderSingle and self._is_known(session, message):
            return []
        return [(message.type, _echo(message, load(VERSIONS[self._version_of(session.key.target)][2])))]

    def _is_known(self, session: DurableSession, message: Message) -> bool:
        """Whether this is a possible resend of an order that came since the logon. Remembers the order."""
        orders = self._orders.setdefault(session.key, {})
        order = message.get(Tag.ClOrdID) or ""
        if message.get(Tag.PossResend) == "Y" and order in orders:
            return True
        if len(orders) >= ORDERS_MAX:
            del orders[next(iter(orders))]
        orders[order] = None
        return False


def _unsupported(message: Message, version: str) -> Outgoing:
    back = [(there, value) for here, there in REVERSE_ROUTES.items() if (value := message.get(here))]
    number = (Tag.RefSeqNum, message.require(Tag.MsgSeqNum))
    if version in ("4.0", "4.1"):  # which have no BusinessMessageReject
        return MsgType.Reject, [*back, number, (Tag.Text, "Unsupported message type")]
    fields: list[tuple[int, str]] = [
        *back,
        number,
        (Tag.Text, "Unsupported Message Type"),
        (Tag.RefMsgType, message.type),
        (Tag.BusinessRejectReason, str(int(BusinessReason.UNSUPPORTED_MESSAGE_TYPE))),
    ]
    if appl_ver_id := VERSIONS[version][
        1
    ]:  # not a field of this message, but QuickFIX writes it, and its script 2r expects it
        fields.append((Tag.DefaultApplVerID, appl_ver_id))
    return MsgType.BusinessMessageReject, fields


def _echo(message: Message, dictionary: Dictionary) -> list[tuple[int, str]]:
    """The body in ascending order of tags, the entries of a group behind their count as they came."""
    spec = dictionary.message(message.type)
    groups: dict[int, Block] = {} if spec is None else spec.body.groups
    pieces: list[list[tuple[int, str]]] = []
    at = 0
    fields = [f for f in message.fields if f[0] not in dictionary.header.tags | dictionary.trailer.tags]
    while at < len(fields):
        piece = [fields[at]]
        at += 1
        if (group := groups.get(piece[0][0])) is not None:
            tags = _all_tags(group)
            while at < len(fields) and fields[at][0] in tags:
                piece.append(fields[at])
                at += 1
        pieces.append(piece)
    pieces.sort(key=lambda piece: piece[0][0])
    carried = [(tag, value) for tag, value in message.fields if tag == Tag.PossResend]
    return carried + [each for piece in pieces for each in piece]


def _all_tags(group: Block) -> frozenset[int]:
    return group.tags.union(*(_all_tags(nested) for nested in group.groups.values()))


async def serve(
    host: str, port: int, options: Options, folder: Path, listening: Callable[[int], None]
) -> None:
    """Until cancelled. `folder` gets the sessions' stores; `listening` is told the port. Raises OSError."""
    versions = {VERSIONS[version][3]: version for version in options.versions}
    if len(options.versions) == 1:
        versions[ANY_PEER] = options.versions[0]
    echo = Echo(versions.__getitem__)

    def configure(target: str) -> SessionConfig:
        # Reads a dictionary at its first Logon: all of them would take three seconds.
        return config_of(versions[target], target, options)

    def admit(key: SessionKey, _logon: Message) -> str | None:
        return None if key.target in versions else ""  # a stranger is not told that there is anybody here

    acceptor = Acceptor(folder, COMP_ID, echo, admit, configure=configure)
    listening(await acceptor.listen(host, port))
    try:
        await acceptor.run()
    finally:
        await acceptor.close()
