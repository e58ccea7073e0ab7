"""What a version of FIX, or a venue, says a message is: read from QuickFIX's XML, kept as tables.

    dictionary = load("FIX.4.4")                       # the standard's
    dictionary = load("FIX.4.4", Path("venue.xml"))    # and a venue's own tags over it
    dictionary.fields[38].name                         # "OrderQty"
    dictionary.message("D").required                   # (11, 40, 54, 55, 60)

The standard's files are those that QuickFIX ships; they are read as data from the installed package
fixcore-engine, none of whose code is run. FIX.5.0 and later have no header of their own: it is FIXT.1.1's, and
`load` puts both together.

An overlay is a file in the same format that says only what differs: a field with a new number is added, one
that is known gets the overlay's name, type and further values; a message that is known gets the overlay's
fields behind its own, and one that is required there becomes required.

Always holds here: a name in a file that nobody defines is a DictionaryError when the file is loaded, not when
a message comes; what `load` returns is never changed.

Must not do: look at a message (`fix/validation.py` does).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

_PACKAGE: Final = "fixcore-engine"
# BeginString or ApplVerID's name -> (its own file, the file that has its header).
_FILES: Final = {
    "FIX.4.0": ("FIX40", "FIX40"),
    "FIX.4.1": ("FIX41", "FIX41"),
    "FIX.4.2": ("FIX42", "FIX42"),
    "FIX.4.3": ("FIX43", "FIX43"),
    "FIX.4.4": ("FIX44", "FIX44"),
    "FIX.5.0": ("FIX50", "FIXT11"),
    "FIX.5.0SP1": ("FIX50SP1", "FIXT11"),
    "FIX.5.0SP2": ("FIX50SP2", "FIXT11"),
    "FIXT.1.1": ("FIXT11", "FIXT11"),
}
VERSIONS: Final = tuple(_FILES)

# ApplVerID (1128) and DefaultApplVerID (1137).
APPL_VER_IDS: Final = {
    "2": "FIX.4.0",
    "3": "FIX.4.1",
    "4": "FIX.4.2",
    "5": "FIX.4.3",
    "6": "FIX.4.4",
    "7": "FIX.5.0",
    "8": "FIX.5.0SP1",
    "9": "FIX.5.0SP2",
}

# Components within components within groups: the deepest of FIX 5.0 SP2 is 9. More is a file that goes round.
DEPTH_MAX: Final = 32


class DictionaryError(ValueError):
    """A dictionary that can't be used: no such version, no such file, or a name in it that nobody defines."""


@dataclass(frozen=True)
class FieldSpec:
    """One field. `type` is the standard's name of it ("QTY", "UTCTIMESTAMP"); `values` is empty where any
    value of the type will do, and else says what each one means."""

    tag: int
    name: str
    type: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Fields that stand together: a header, a body, a trailer, or one entry of a group.

    `tags` has all of them, the counts of the groups (`groups`) included. `first` is the field that begins an
    entry of a group. `required` ascends.
    """

    tags: frozenset[int]
    required: tuple[int, ...]
    groups: dict[int, Block]
    first: int


@dataclass(frozen=True)
class MessageSpec:
    """One type of message and its body."""

    type: str
    name: str
    admin: bool
    body: Block


@dataclass(frozen=True)
class Dictionary:
    """One version's tables. `fields` by tag, `messages` by MsgType."""

    version: str
    fields: dict[int, FieldSpec]
    header: Block
    trailer: Block
    messages: dict[str, MessageSpec]
    tags: dict[str, int]  # by name

    def message(self, msg_type: str) -> MessageSpec | None:
        return self.messages.get(msg_type)


def load(version: str, *overlays: Path) -> Dictionary:
    """The dictionary of `version` ("FIX.4.4", "FIX.5.0SP2", "FIXT.1.1") with `overlays` over it, in order.

    Read once for each combination and then shared. Raises DictionaryError.
    """
    return _load(version, overlays)


@lru_cache(maxsize=16)  # nine versions, and the overlays of a few venues
def _load(version: str, overlays: tuple[Path, ...]) -> Dictionary:
    if version not in _FILES:
        raise DictionaryError(f"there is no FIX version {version!r}; there are {', '.join(VERSIONS)}")
    own, transport = _FILES[version]
    roots = [_read(_standard(own))]
    if transport != own:
        roots.append(_read(_standard(transport)))
    return _Compiler(version, roots, [_read(path) for path in overlays]).dictionary()


def _standard(name: str) -> Path:
    try:
        return Path(str(metadata.distribution(_PACKAGE).locate_file(f"fixcore/specs/{name}.xml")))
    except metadata.PackageNotFoundError:
        raise DictionaryError(
            f"the package {_PACKAGE}, which has the dictionaries, is not installed"
        ) from None


def _read(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except OSError as error:
        raise DictionaryError(f"{path}: {error.strerror}") from error
    except ElementTree.ParseError as error:
        raise DictionaryError(f"{path}: {error}") from error


class _Draft:
    """A block while it is put together."""

    def __init__(self) -> None:
        self.tags: dict[int, None] = {}  # in the order of the file
        self.required: set[int] = set()
        self.groups: dict[int, _Draft] = {}

    def add(self, tag: int, required: bool) -> None:
        self.tags[tag] = None
        if required:
            self.required.add(tag)

    def block(self) -> Block:
        groups = {tag: draft.block() for tag, draft in self.groups.items()}
        return Block(frozenset(self.tags), tuple(sorted(self.required)), groups, next(iter(self.tags), 0))


class _Compiler:
    """Files to tables. `roots` are the version's own file and the one with its header."""

    def __init__(
        self, version: str, roots: list[ElementTree.Element], overlays: list[ElementTree.Element]
    ) -> None:
        self._version = version
        self._roots = roots
        self._overlays = overlays
        self._fields: dict[int, FieldSpec] = {}
        self._tags: dict[str, int] = {}
        self._components: dict[str, list[ElementTree.Element]] = {}
        # The version's own definitions count before those of the file that has its header.
        for root in [*reversed(roots), *overlays]:
            self._take_fields(root)
        for root in [*roots, *overlays]:
            for component in root.iterfind("components/component"):
                self._components.setdefault(_name(component), []).append(component)

    def dictionary(self) -> Dictionary:
        return Dictionary(
            self._version,
            self._fields,
            self._part("header"),
            self._part("trailer"),
            self._messages(),
            self._tags,
        )

    def _take_fields(self, root: ElementTree.Element) -> None:
        for element in root.iterfind("fields/field"):
            name, tag = _name(element), _number(element)
            known = self._fields.get(tag)
            values = {
                value.get("enum", ""): value.get("description", "") for value in element.iterfind("value")
            }
            if known is not None and known.values and values:
                values = known.values | values
            data_type = element.get("type", "STRING").upper()
            self._fields[tag] = FieldSpec(tag, name, data_type, values)
            self._tags[name] = tag

    def _part(self, which: str) -> Block:
        draft = _Draft()
        for root in [*self._roots, *self._overlays]:
            if (element := root.find(which)) is not None:
                self._fill(draft, element, True, 0)
        return draft.block()

    def _messages(self) -> dict[str, MessageSpec]:
        drafts: dict[str, _Draft] = {}
        heads: dict[str, tuple[str, bool]] = {}
        for root in [*self._roots, *self._overlays]:
            for element in root.iterfind("messages/message"):
                msg_type = element.get("msgtype", "")
                if msg_type not in drafts:
                    drafts[msg_type] = _Draft()
                    heads[msg_type] = (_name(element), element.get("msgcat") == "admin")
                self._fill(drafts[msg_type], element, True, 0)
        return {
            msg_type: MessageSpec(msg_type, *heads[msg_type], draft.block())
            for msg_type, draft in drafts.items()
        }

    def _fill(self, draft: _Draft, element: ElementTree.Element, required: bool, depth: int) -> None:
        """Adds what `element` lists. What is required in a component that is not is not required."""
        if depth > DEPTH_MAX:
            raise DictionaryError(f"{_name(element)!r} contains itself; take the circle out of the file")
        for child in element:
            name = _name(child)
            child_required = required and child.get("required") == "Y"
            if child.tag == "component":
                if name not in self._components:
                    raise DictionaryError(f"component {name!r} is used and not defined")
                for component in self._components[name]:
                    self._fill(draft, component, child_required, depth + 1)
                continue
            if name not in self._tags:
                raise DictionaryError(f"field {name!r} is used and not defined; add it under <fields>")
            tag = self._tags[name]
            draft.add(tag, child_required)
            if child.tag == "group":
                self._fill(draft.groups.setdefault(tag, _Draft()), child, True, depth + 1)


def _name(element: ElementTree.Element) -> str:
    name = element.get("name")
    if name is None and element.tag not in ("header", "trailer"):
        raise DictionaryError(f"<{element.tag}> has no name")
    return name or element.tag


def _number(element: ElementTree.Element) -> int:
    text = element.get("number", "")
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**31:
        raise DictionaryError(
            f"field {_name(element)!r} has the number {text!r}; it must be from 1 to 2^31 - 1"
        )
    return int(text)
