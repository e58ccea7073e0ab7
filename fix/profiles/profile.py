"""What a venue asks of its peers, as one frozen record: versions, identity, authentication, pace, recovery, hours.

Always holds here: a Profile that exists is consistent (`checked` is the only way in from a file). Times are
seconds unless a name says otherwise. No secret is part of a profile (`fix/auth.py` takes them as arguments).

Must not do: open a file or a socket.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from fix.codec import Field
from fix.dictionary import APPL_VER_IDS
from fix.schedule import Schedule, ScheduleError
from fix.validation import Strictness

# Tags are up to nine digits on the wire (the codec's bound): venues use some above 100,000.
TagNumber = Annotated[int, msgspec.Meta(ge=1, le=999_999_999)]
Version = Literal["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"]
# Digits of the fraction of a second in SendingTime, by what the profile calls it.
TIME_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
# Tags of a Logon that the session writes itself: no profile may add them.
_SESSIONS_OWN: Final = frozenset((8, 9, 10, 34, 35, 49, 52, 56, 98, 108, 141, 789, 1137))


class ProfileError(ValueError):
    """A profile that can't be used, or a value that breaks its rules. Names the profile, the value, the remedy."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Host(_Part, frozen=True):
    """Where the venue listens. `server_name` is what SNI asks for and the certificate must name; default: host."""

    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    server_name: str = ""


class CompIds(_Part, frozen=True):
    """`target` is the venue's CompID, empty where it assigns one to each customer. `sender`: a pattern of ours."""

    target: str = ""
    sender: str = r"[\x21-\x7e]{1,64}"


class Auth(_Part, frozen=True):
    """How a Logon proves who sends it.

    `scheme`: "plain" sends `username_tag` and `password_tag` as they are; the others also sign the values of
    `payload` (tags of the Logon, in this order), joined by `separator`, and put the signature into
    `signature_tag`, with its length in `length_tag` (0: none). A tag number 0 leaves the field out.
    """

    scheme: Literal["none", "plain", "hmac-sha256", "hmac-sha512", "ed25519"] = "none"
    username_tag: Annotated[int, msgspec.Meta(ge=0)] = 0
    password_tag: Annotated[int, msgspec.Meta(ge=0)] = 0
    payload: tuple[TagNumber, ...] = ()
    separator: str = "\x01"
    signature_tag: Annotated[int, msgspec.Meta(ge=0)] = 0
    length_tag: Annotated[int, msgspec.Meta(ge=0)] = 0
    encoding: Literal["base64", "hex"] = "base64"
    key_encoding: Literal["text", "base64"] = "text"
    """Of an HMAC's key: its text is the key, or the base64 of it. An Ed25519 key is a PEM."""


class Heartbeat(_Part, frozen=True):
    """HeartBtInt (108): what the venue takes, and what is asked for."""

    min_s: Annotated[int, msgspec.Meta(ge=1)] = 1
    max_s: Annotated[int, msgspec.Meta(le=3600)] = 60
    usual_s: int = 30


class ThrottleRule(_Part, frozen=True):
    """At most `messages` on the wire in any `window_ms`, and what we do at the limit.

    "delay": new orders wait their turn, bounded. "logout": we end the session in order, before the venue ends
    it, and log on again. Cancels pass before new orders in both cases. (There is no "reject" towards a venue:
    an order that waits here has passed its risk checks and is in the log. The client door rejects.)
    """

    messages: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    window_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)] = 1000
    breach: Literal["delay", "logout"] = "delay"


class CancelOnDisconnect(_Part, frozen=True):
    """What the venue does with open orders of a connection that drops, and how it is asked to.

    "none": it keeps them. "always": it cancels them. "port": it is set up for the port or session, by the
    venue. "logon": it is asked for with `tag`=`value` in the Logon.
    """

    by: Literal["none", "always", "port", "logon"] = "none"
    tag: Annotated[int, msgspec.Meta(ge=0)] = 0
    value: str = ""


class ClOrdIdRule(_Part, frozen=True):
    """What ClOrdID (11) may be: a whole-match `pattern` and a length in characters."""

    pattern: str = r"[\x21-\x7e]+"
    length_max: Annotated[int, msgspec.Meta(ge=1, le=128)] = 64


class ExtraTags(_Part, frozen=True):
    """Fields that the venue wants beside the standard's: in every header, in the Logon, in each new order."""

    header: tuple[tuple[TagNumber, str], ...] = ()
    logon: tuple[tuple[TagNumber, str], ...] = ()
    order: tuple[tuple[TagNumber, str], ...] = ()


class Resend(_Part, frozen=True):
    """`chunk_max`: most messages that one ResendRequest may ask for, 0 without a limit. `on_gap`, what we do
    when messages of the venue are missing: "request" them, or "reset", which is to log out and on again with
    both numbers at 1, where it keeps none (`supported` = false)."""

    supported: bool = True
    chunk_max: Annotated[int, msgspec.Meta(ge=0)] = 0
    on_gap: Literal["request", "reset"] = "request"


class Validation(_Part, frozen=True):
    """How strictly the venue's messages are looked at before they count: the rules of `fix/validation.py`.

    What breaks a rule is rejected (35=3) and so not taken, a fill too. So a profile asks for no more than its venue is
    known to keep. `dictionary`: a file with the venue's own tags, over the standard's.
    """

    order: bool = True
    required: bool = True
    formats: bool = True
    values: bool = True
    unknown_fields: bool = True
    user_defined: bool = True
    empty_values: bool = False  # tags without values are taken, and may be sent
    dictionary: str = ""

    @property
    def strictness(self) -> Strictness:
        return Strictness(
            self.order, self.required, self.formats, self.values, self.unknown_fields, self.user_defined
        )


class Reset(_Part, frozen=True):
    """When both sequence numbers begin again at 1: with every Logon (141=Y), with each of the schedule's sessions, or
    after a Logon whose number says that the venue has lost what it told us. Without that a person has to agree it
    with the venue: messages of ours may be lost with its own."""

    on_logon: bool = False
    each_session: bool = False
    on_loss: bool = False


class Profile(_Part, frozen=True):
    """One venue. `versions`: the first is the one that is spoken."""

    name: str
    about: str
    versions: tuple[Version, ...] = ("FIX.4.4",)
    appl_version: str = ""  # DefaultApplVerID (1137), with FIXT.1.1 only
    tls: bool = False
    hosts: tuple[Host, ...] = ()
    time_precision: Literal["s", "ms", "us", "ns"] = "ms"
    comp_ids: CompIds = CompIds()
    auth: Auth = Auth()
    heartbeat: Heartbeat = Heartbeat()
    throttle: ThrottleRule | None = None
    cancel_on_disconnect: CancelOnDisconnect = CancelOnDisconnect()
    cl_ord_id: ClOrdIdRule = ClOrdIdRule()
    extra: ExtraTags = ExtraTags()
    resend: Resend = Resend()
    reset: Reset = Reset()
    validation: Validation | None = None  # none: only what the session and the order router read is looked at
    schedule: Schedule | None = None  # none: always on, and no boundary
    order_status: Literal["each", "mass"] = "each"
    """How the venue is asked how open orders stand: by an OrderStatusRequest (H) each, or first by one
    OrderMassStatusRequest (AF) for all of them."""

    @property
    def time_digits(self) -> int:
        return TIME_DIGITS[self.time_precision]

    @property
    def application_version(self) -> str:
        """The dictionary's name of the version in which orders are spoken."""
        return APPL_VER_IDS[self.appl_version] if self.appl_version else self.versions[0]

    @property
    def logon_fields(self) -> tuple[Field, ...]:
        """Of every Logon, whoever sends it: the venue's own tags, and its cancel-on-disconnect."""
        cod = self.cancel_on_disconnect
        return (*self.extra.logon, *(((cod.tag, cod.value),) if cod.by == "logon" else ()))

    def check_comp_ids(self, sender: str, target: str) -> None:
        """Raises ProfileError for CompIDs that this venue does not take."""
        if re.fullmatch(self.comp_ids.sender, sender) is None:
            raise ProfileError(
                f"{self.name}: SenderCompID {sender!r} does not match {self.comp_ids.sender!r}; use the venue's"
            )
        if self.comp_ids.target and target != self.comp_ids.target:
            raise ProfileError(f"{self.name}: TargetCompID {target!r} must be {self.comp_ids.target!r}")

    def check_cl_ord_id(self, name: str) -> None:
        """Raises ProfileError for a ClOrdID that this venue would refuse."""
        rule = self.cl_ord_id
        if len(name) > rule.length_max:
            raise ProfileError(
                f"{self.name}: ClOrdID {name[:40]!r} has {len(name)} characters; at most {rule.length_max}"
            )
        if re.fullmatch(rule.pattern, name) is None:
            raise ProfileError(f"{self.name}: ClOrdID {name!r} does not match {rule.pattern!r}")


def checked(profile: Profile) -> Profile:
    """The profile, once its parts fit together. Raises ProfileError."""
    for problem in (
        *_auth_problems(profile.auth),
        *_pace_problems(profile),
        *_tag_problems(profile),
        *_pattern_problems(profile),
    ):
        raise ProfileError(f"{profile.name}: {problem}")
    try:
        if profile.schedule is not None:
            profile.schedule.check()
    except ScheduleError as error:
        raise ProfileError(f"{profile.name}: schedule: {error}") from None
    return profile


def _auth_problems(auth: Auth) -> list[str]:
    signs = auth.scheme not in ("none", "plain")
    problems = []
    if auth.scheme == "plain" and not (auth.username_tag or auth.password_tag):
        problems.append("auth.scheme 'plain' sends nothing; give username_tag or password_tag")
    if signs and not auth.signature_tag:
        problems.append(f"auth.scheme {auth.scheme!r} needs signature_tag, where the signature goes")
    if signs and not auth.payload:
        problems.append(f"auth.scheme {auth.scheme!r} needs payload, the tags that are signed")
    if not signs and (auth.payload or auth.signature_tag):
        problems.append(f"auth.scheme {auth.scheme!r} signs nothing; leave payload and signature_tag out")
    return problems


def _pace_problems(profile: Profile) -> list[str]:
    heartbeat, problems = profile.heartbeat, []
    if not heartbeat.min_s <= heartbeat.usual_s <= heartbeat.max_s:
        problems.append(
            f"heartbeat.usual_s {heartbeat.usual_s} is not within {heartbeat.min_s} to {heartbeat.max_s}"
        )
    if not profile.versions:
        problems.append("versions is empty; name the BeginString that is spoken")
    elif (profile.versions[0] == "FIXT.1.1") != bool(profile.appl_version):
        problems.append("appl_version (1137) goes with FIXT.1.1, and FIXT.1.1 with appl_version")
    elif profile.appl_version and profile.appl_version not in APPL_VER_IDS:
        problems.append(f"appl_version {profile.appl_version!r} is none of {', '.join(APPL_VER_IDS)}")
    if profile.resend.supported != (profile.resend.on_gap == "request"):
        problems.append(
            "resend.on_gap is 'request' where resends are supported, and 'reset' where they are not"
        )
    if profile.resend.on_gap == "reset" and not profile.reset.on_logon:
        problems.append("resend.on_gap 'reset' needs reset.on_logon: the next Logon begins the numbers anew")
    if profile.order_status == "mass" and profile.versions[:1] < ("FIX.4.3",):
        problems.append("order_status 'mass' needs FIX.4.3 or later, which have OrderMassStatusRequest")
    if profile.reset.each_session and profile.schedule is None:
        problems.append("reset.each_session needs a schedule, which says when a session begins")
    return problems


def _tag_problems(profile: Profile) -> list[str]:
    problems, cod = [], profile.cancel_on_disconnect
    if (cod.by == "logon") != bool(cod.tag and cod.value):
        problems.append("cancel_on_disconnect: tag and value go with by = 'logon', and only with it")
    for where, fields in (
        ("header", profile.extra.header),
        ("logon", profile.extra.logon),
        ("order", profile.extra.order),
    ):
        tags = [tag for tag, _ in fields]
        problems += [
            f"extra.{where}: tag {tag} is the session's own; leave it out"
            for tag in tags
            if tag in _SESSIONS_OWN
        ]
        problems += [
            f"extra.{where}: tag {tag} has value {value!r}; give one without SOH"
            for tag, value in fields
            if not value or "\x01" in value
        ]
        if len(set(tags)) != len(tags):
            problems.append(f"extra.{where}: a tag comes twice")
    return problems


def _pattern_problems(profile: Profile) -> list[str]:
    problems = []
    for where, pattern in (
        ("comp_ids.sender", profile.comp_ids.sender),
        ("cl_ord_id", profile.cl_ord_id.pattern),
    ):
        try:
            re.compile(pattern)
        except re.error as error:
            problems.append(f"{where}: {pattern!r} is no regular expression: {error}")
    return problems
