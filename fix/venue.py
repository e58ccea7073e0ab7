"""One venue of a desk: which profile it follows, who we are there, where it is, and what proves it.

A desk writes it as a TOML file that only its owner may read, for secrets stand in it:

    profile = "binance-like"                    # one that is shipped, or the path of a file
    sender = "DESK1"
    target = "SPOT"
    username = "the key's id"                   # 553
    key = '''-----BEGIN PRIVATE KEY-----...'''  # what signs the Logon; password = "..." is 554
    hosts = [{ host = "fix-oe.venue.example", port = 9000 }]
    tls_ca = "venue-ca.pem"                     # tls_cert, tls_key: a certificate of ours

This is the one place where a venue's data meets the engine:

    Initiator(folder, session_config(...), application, line_to(...))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from fix.auth import Secrets, logon_signer
from fix.dictionary import Dictionary, DictionaryError, load
from fix.initiator import Line
from fix.profiles import files
from fix.profiles.profile import Host, Profile, ProfileError
from fix.session import Role, SessionConfig
from fix.tls import TlsFiles, connecting
from fix.validation import Validator


class Venue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module. Relative paths count from the folder of the file."""

    profile: str
    sender: str
    target: str
    hosts: tuple[Host, ...] = ()
    username: str = ""
    password: str = ""
    key: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    folder: str = ""

    def its_profile(self) -> Profile:
        """Raises ProfileError."""
        if self.profile.endswith(".toml"):
            return files.of_file(Path(self.folder, self.profile))
        return files.shipped(self.profile)

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.username, self.password, self.key)

    @property
    def tls_files(self) -> TlsFiles:
        return TlsFiles(
            *(
                Path(self.folder, path) if path else None
                for path in (self.tls_cert, self.tls_key, self.tls_ca)
            )
        )

    def __repr__(self) -> str:
        return f"Venue({self.sender} to {self.target}, {self.profile}, {self.secrets!r})"


def venue_of_file(path: Path) -> Venue:
    """Raises ProfileError; its text shows none of the secrets."""
    try:
        mode = path.stat().st_mode & 0o777
        raw = path.read_bytes()
    except OSError as error:
        raise ProfileError(f"venue {path}: {error.strerror}; name a .toml file") from None
    if mode & 0o077:
        raise ProfileError(f"venue {path} has mode {mode:o}; others could read its secrets: chmod 600")
    try:
        venue = msgspec.toml.decode(raw, type=Venue)
    except msgspec.ValidationError as error:
        raise ProfileError(f"venue {path}: {error}; mend that value") from None
    except msgspec.DecodeError:  # its text may quote a line of the file
        raise ProfileError(f"venue {path} is no TOML; see fix/venue.py for an example") from None
    return msgspec.structs.replace(venue, folder=str(path.parent))


def dictionary_of(profile: Profile, folder: str = "") -> Dictionary:
    """What the venue's orders and reports are: the standard's, and the profile's own file over it, whose path counts
    from `folder`. Raises ProfileError."""
    own = profile.validation.dictionary if profile.validation is not None else ""
    try:
        return load(profile.application_version, *([Path(folder, own)] if own else []))
    except DictionaryError as error:
        raise ProfileError(f"{profile.name}: validation.dictionary: {error}") from None


def validator_of(profile: Profile, folder: str = "") -> Validator | None:
    """Raises ProfileError."""
    if (asked := profile.validation) is None:
        return None
    session = load(profile.versions[0]) if profile.appl_version else None
    return Validator(dictionary_of(profile, folder), session, asked.strictness, profile.appl_version)


def session_config(
    profile: Profile, sender: str, target: str, secrets: Secrets, folder: str = ""
) -> SessionConfig:
    """Our side of a session with this venue. Raises ProfileError, SecretsError."""
    profile.check_comp_ids(sender, target)
    return SessionConfig(
        sender,
        target,
        Role.INITIATOR,
        begin_string=profile.versions[0],
        heartbeat_s=profile.heartbeat.usual_s,
        logon_fields=profile.logon_fields,
        sign=logon_signer(profile, sender, target, secrets),
        header_fields=profile.extra.header,
        time_digits=profile.time_digits,
        appl_ver_id=profile.appl_version,
        validator=validator_of(profile, folder),
        empty_values=profile.validation is not None and profile.validation.empty_values,
        reset_on_logon=profile.reset.on_logon,
        reset_on_loss=profile.reset.on_loss,
        resends=profile.resend.supported,
        resend_chunk=profile.resend.chunk_max,
    )


def line_to(profile: Profile, hosts: Sequence[Host], tls: TlsFiles) -> Line:
    """How it is reached: `hosts` instead of the profile's where they are given. Raises ProfileError, TlsError."""
    hosts = tuple(hosts) or profile.hosts
    if not hosts:
        raise ProfileError(f"{profile.name}: no host is known; give the address of the venue")
    return Line(
        hosts,
        connecting(tls) if profile.tls else None,
        profile.schedule,
        profile.reset.each_session,
        profile.throttle,
    )
