"""Profiles as they come: those that are shipped beside this file, and one that a desk wrote itself.

profile = shipped("binance-like")
profile = of_file(Path("our-broker.toml"))
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from fix.profiles.profile import Profile, ProfileError, checked

# A profile is a page of text. Anything longer is not one.
FILE_BYTES_MAX: Final = 64 * 1024
_SUFFIX: Final = ".toml"


def names() -> list[str]:
    """What `shipped` knows."""
    files = resources.files("fix.profiles").iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


@cache
def shipped(name: str) -> Profile:
    """The profile of this name. Raises ProfileError, naming those that there are."""
    if name not in names():
        raise ProfileError(f"there is no profile {name!r}; there are {', '.join(names())}, or give a file")
    return _read((resources.files("fix.profiles") / (name + _SUFFIX)).read_bytes(), name)


def of_file(path: Path) -> Profile:
    """A desk's own profile. Raises ProfileError."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ProfileError(f"profile {path}: {error.strerror}; name a .toml file") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ProfileError(f"profile {path} is longer than {FILE_BYTES_MAX} bytes; it is no profile")
    return _read(raw, str(path))


def _read(raw: bytes, where: str) -> Profile:
    try:
        return checked(msgspec.toml.decode(raw, type=Profile))
    except msgspec.MsgspecError as error:  # with the path of the value: "... - at `$.throttle.messages`"
        raise ProfileError(f"profile {where}: {error}; mend that value") from None
