"""TLS for FIX lines: one context for those who connect, one for those who listen.

Always holds here: TLS 1.2 or newer. Who connects asks for the venue's name (SNI) and accepts no other, from no
authority but the one it was given, or the machine's. Who listens and was given an authority lets nobody in
without a certificate of it. There is no way to switch a check off.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, NamedTuple

# A handshake is a few round trips. A peer that needs longer is not there.
HANDSHAKE_TIMEOUT_S: Final = 5.0
# A peer that does not answer the end of TLS keeps nothing open longer than this.
SHUTDOWN_TIMEOUT_S: Final = 1.0


class TlsError(ValueError):
    """Certificates that can't be used. Names the file and the remedy."""


class TlsFiles(NamedTuple):
    """PEM files: our certificate (with its chain) and its key, and the authority whose certificates we take."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def connecting(files: TlsFiles) -> ssl.SSLContext:
    """For an initiator. Without `ca` the machine's authorities count; with `cert` it shows one of its own.
    Raises TlsError."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if files.ca is not None:
        context = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # checks names and certificates unless it is told not to
        _trust(context, files.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert is not None or files.key is not None:
        _show(context, files)
    return context


def listening(files: TlsFiles) -> ssl.SSLContext:
    """For an acceptor. With `ca` every client needs a certificate of it. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, files)
    if files.ca is not None:
        _trust(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _show(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.cert is None or files.key is None:
        missing = "certificate" if files.cert is None else "key"
        raise TlsError(f"TLS needs a certificate and its key; the {missing} is not given")
    try:
        # A key under a password would be asked for on the terminal; say what is wrong instead.
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except ssl.SSLError as error:
        raise TlsError(
            f"certificate {files.cert} and key {files.key} are no pair of PEM files: {error.reason or error}"
        ) from None
    except OSError as error:
        raise TlsError(f"certificate {files.cert} or key {files.key}: {error.strerror}") from None


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise TlsError(f"authority {ca} is no PEM of a certificate: {error.reason or error}") from None
    except OSError as error:
        raise TlsError(f"authority {ca}: {error.strerror}; name a PEM file") from None


def _no_password() -> str:
    raise TlsError("the key is under a password, which a process can't type; give it without one, mode 0600")
