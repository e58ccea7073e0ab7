"""Whether a message is one that its dictionary knows: as strict as it is told to be.

    validator = Validator(load("FIX.4.4"))
    validator.check(message)                    # raises Violation, whose reason (373) and tag say what is wrong

    fixt = Validator(load("FIX.5.0SP2"), load("FIXT.1.1"), appl_ver_id="9")
    lenient = Validator(load("FIX.4.4", overlay), strictness=Strictness(user_defined=False))

Always holds here: the first fault that is found is the one reported, and they are looked for in QuickFIX's
order, so that a message with two faults gets the same answer from both: header, body and trailer in their places;
the type of the message; required fields; then field by field, header, trailer, body, each in ascending order of
tags: that it is there once, has the form of its type and one of the values listed, is known and belongs here, and
if it counts a group's entries, that they are as they should be. The values within groups, which QuickFIX does not
look at, come last.

Must not do: know a session (CompIDs, times and sequence numbers are its own), or change a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fix.codec import Field, Message
from fix.data_types import FITS, FITS_BEFORE_4_2, LISTS
from fix.dictionary import Block, Dictionary
from fix.tags import ADMIN_TYPES, RejectReason, Tag
from fix.violation import Violation

# "Tag numbers 5000 and up are for users" (FIX 4.4 vol. 1, "User defined fields").
USER_DEFINED_MIN: Final = 5000
# A message is bounded (MESSAGE_BYTES_MAX), so no group has a million entries.
COUNT_DIGITS_MAX: Final = 6

_HEADER: Final = 0
_BODY: Final = 1
_TRAILER: Final = 2
# In which the places are looked at: header, trailer, body.
_ORDER_OF_PLACES: Final = (0, 2, 1)


@dataclass(frozen=True)
class Strictness:
    """What is looked at; QuickFIX's defaults. False leaves that rule out."""

    order: bool = True  # header, then body, then trailer
    required: bool = True
    formats: bool = True  # a value has the form of its type
    values: bool = True  # ... and is among those that the dictionary lists
    unknown_fields: bool = True  # a tag that the dictionary lacks, or lacks for this type, is refused
    user_defined: bool = True  # ... from 5000 up too


class Validator:
    """`application` has the messages and, unless `session` is given (FIXT), those of the session too.

    `appl_ver_id`: the only ApplVerID (1128) that a message may name, for `application` is its dictionary.
    """

    def __init__(
        self,
        application: Dictionary,
        session: Dictionary | None = None,
        strictness: Strictness = Strictness(),
        appl_ver_id: str = "",
    ) -> None:
        self._strictness = strictness
        self._appl_ver_id = appl_ver_id
        self._application = _Rules(application, strictness)
        self._session = self._application if session is None else _Rules(session, strictness)

    def check(self, message: Message) -> None:
        """Raises Violation. BeginString, BodyLength and CheckSum are taken as right: a frame has them so."""
        if message.type in ADMIN_TYPES:
            self._session.check(message)
            return
        named = message.get(Tag.ApplVerID)
        if self._appl_ver_id and named is not None and named != self._appl_ver_id:
            raise Violation(RejectReason.UNSUPPORTED_APPL_VERSION, Tag.ApplVerID)
        self._application.check(message)


class _Found:
    """What a walk over one message's fields found."""

    def __init__(self) -> None:
        self.outside: list[tuple[int, int, str]] = []  # (place, tag, value) of what is in no group
        self.within: list[Field] = []  # fields of groups
        self.group_faults: dict[int, Violation] = {}  # by the tag of the count
        self.missing: list[Violation] = []  # in entries of groups


class _Rules:
    """One dictionary's rules."""

    def __init__(self, dictionary: Dictionary, strictness: Strictness) -> None:
        self._dictionary = dictionary
        self._strict = strictness
        self._fits = FITS_BEFORE_4_2 if dictionary.version in ("FIX.4.0", "FIX.4.1") else FITS

    def check(self, message: Message) -> None:
        if self._strict.order:
            self._check_order(message.fields)
        spec = self._dictionary.message(message.type)
        if spec is None:
            raise Violation(RejectReason.INVALID_MSG_TYPE, Tag.MsgType)
        found = self._walk(message.fields, spec.body)
        if self._strict.required:
            seen = {tag for _, tag, _ in found.outside}
            for block in (self._dictionary.header, self._dictionary.trailer, spec.body):
                _check_required(block, seen)
            if found.missing:
                raise found.missing[0]
        before = (_HEADER, 0)
        for place, tag, value in sorted(found.outside, key=_place_and_tag):
            if before == (place, tag):
                raise Violation(RejectReason.TAG_REPEATED, tag)
            before = (place, tag)
            self._check_value(tag, value)
            if place == _BODY and tag not in spec.body.tags:
                self._check_stranger(tag)
            if tag in found.group_faults:
                raise found.group_faults[tag]
        for tag, value in found.within:
            self._check_value(tag, value)

    def _check_order(self, fields: list[Field]) -> None:
        reached = _HEADER
        for tag, _ in fields:
            place = self._place(tag)
            if place < reached:
                raise Violation(RejectReason.TAG_OUT_OF_ORDER, tag)
            reached = place

    def _place(self, tag: int) -> int:
        if tag in self._dictionary.header.tags:
            return _HEADER
        return _TRAILER if tag in self._dictionary.trailer.tags else _BODY

    def _walk(self, fields: list[Field], body: Block) -> _Found:
        blocks = {_HEADER: self._dictionary.header, _BODY: body, _TRAILER: self._dictionary.trailer}
        found = _Found()
        at = 0
        while at < len(fields):
            tag, value = fields[at]
            place = self._place(tag)
            found.outside.append((place, tag, value))
            at += 1
            block = blocks[place]
            if (group := block.groups.get(tag)) is not None:
                begin = at
                try:
                    at = self._walk_group(fields, at, tag, value, group, block, found)
                except Violation as fault:
                    found.group_faults.setdefault(tag, fault)
                    at = _end_of(fields, begin, group)
                found.within += fields[begin:at]
        return found

    def _check_stranger(self, tag: int) -> None:
        """A tag that this type of message does not have."""
        if not self._strict.unknown_fields or (tag >= USER_DEFINED_MIN and not self._strict.user_defined):
            return
        if tag in self._dictionary.fields:
            raise Violation(RejectReason.TAG_NOT_DEFINED_FOR_TYPE, tag)
        raise Violation(RejectReason.INVALID_TAG_NUMBER, tag)

    def _walk_group(
        self,
        fields: list[Field],
        at: int,
        count_tag: int,
        count: str,
        group: Block,
        outer: Block,
        found: _Found,
    ) -> int:
        """The entries behind a count, from `at` on. Returns where they end."""
        if not (count.isascii() and count.isdigit()) or len(count) > COUNT_DIGITS_MAX:
            raise Violation(RejectReason.INCORRECT_DATA_FORMAT, count_tag)
        expected = int(count)
        entries = 0
        seen: set[int] = set()
        while at < len(fields) and (tag := fields[at][0]) in group.tags:
            if tag == group.first:
                if entries:
                    _note_missing(group, seen, found)
                entries += 1
                seen = set()
            elif tag in seen or entries == 0:
                if entries == expected and tag in outer.tags:
                    break  # the same tag of the message itself, behind the group
                reason = RejectReason.TAG_REPEATED if entries else RejectReason.GROUP_OUT_OF_ORDER
                raise Violation(reason, tag)
            seen.add(tag)
            at += 1
            if (nested := group.groups.get(tag)) is not None:
                at = self._walk_group(fields, at, tag, fields[at - 1][1], nested, group, found)
        if entries != expected:
            raise Violation(RejectReason.INCORRECT_NUM_IN_GROUP, count_tag)
        if entries:
            _note_missing(group, seen, found)
        return at

    def _check_value(self, tag: int, value: str) -> None:
        spec = self._dictionary.fields.get(tag)
        if spec is None or tag == Tag.MsgType:  # which has been found; FIXT lists only the session's types
            return
        if not value:  # the session takes tags without values, or this would not be here
            return
        if self._strict.formats and (fits := self._fits.get(spec.type)) is not None and not fits(value):
            raise Violation(RejectReason.INCORRECT_DATA_FORMAT, spec.tag)
        if not self._strict.values or not spec.values or value in spec.values:
            return
        if spec.type in LISTS and all(word in spec.values for word in value.split(" ")):
            return
        raise Violation(RejectReason.VALUE_INCORRECT, spec.tag)


def _check_required(block: Block, seen: set[int]) -> None:
    for tag in block.required:
        if tag not in seen:
            raise Violation(RejectReason.REQUIRED_TAG_MISSING, tag)


def _note_missing(group: Block, seen: set[int], found: _Found) -> None:
    """What an entry lacks: said with the other required fields, before any value is looked at."""
    found.missing += [
        Violation(RejectReason.REQUIRED_TAG_MISSING, tag) for tag in group.required if tag not in seen
    ]


def _end_of(fields: list[Field], at: int, group: Block) -> int:
    """Where the fields of a group that is at fault, and of those in it, end."""
    tags = _all_tags(group)
    while at < len(fields) and fields[at][0] in tags:
        at += 1
    return at


def _all_tags(group: Block) -> frozenset[int]:
    return group.tags.union(*(_all_tags(nested) for nested in group.groups.values()))


def _place_and_tag(each: tuple[int, int, str]) -> tuple[int, int]:
    place, tag, _ = each
    return _ORDER_OF_PLACES[place], tag
