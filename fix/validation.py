"""Whether a message is one that its dictionary knows: as strict as it is told to be.

    validator = Validator(load("FIX.4.4"))
    validator.check(message)                    # raises Violation, whose reason (373) and tag say what is wrong

    fixt = Validator(load("FIX.5.0SP2"), load("FIXT.1.1"), appl_ver_id="9")
    lenient = Validator(load("FIX.4.4", overlay), strictness=Strictness(user_defined=False))

Always holds here: the first fault that is found is the one reported, and they are looked for in QuickFIX's
order, so that a message with two faults gets the same answer from both: the type of the message; header, body
and trailer in their places, each tag there once, groups with as many entries as their count says; required
fields; then field by field, in ascending order of tags, that it is known, belongs here, has the form of its type
and one of the values listed.

Must not do: know a session (CompIDs, times and sequence numbers are its own), or change a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fix.codec import Field, Message
from fix.data_types import FITS, FITS_BEFORE_4_2, LISTS
from fix.dictionary import Block, Dictionary, FieldSpec
from fix.tags import ADMIN_TYPES, RejectReason, Tag
from fix.violation import Violation

# "Tag numbers 5000 and up are for users" (FIX 4.4 vol. 1, "User defined fields").
USER_DEFINED_MIN: Final = 5000
# A message is bounded (MESSAGE_BYTES_MAX), so no group has a million entries.
COUNT_DIGITS_MAX: Final = 6

_HEADER: Final = 0
_BODY: Final = 1
_TRAILER: Final = 2


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


class _Rules:
    """One dictionary's rules."""

    def __init__(self, dictionary: Dictionary, strictness: Strictness) -> None:
        self._dictionary = dictionary
        self._strict = strictness
        self._fits = FITS_BEFORE_4_2 if dictionary.version in ("FIX.4.0", "FIX.4.1") else FITS

    def check(self, message: Message) -> None:
        spec = self._dictionary.message(message.type)
        if spec is None:
            raise Violation(RejectReason.INVALID_MSG_TYPE, Tag.MsgType)
        seen, strangers = self._check_structure(message.fields, spec.body)
        if self._strict.required:
            for block in (self._dictionary.header, self._dictionary.trailer, spec.body):
                _check_required(block, seen)
        for tag, value in sorted(message.fields):
            if tag in strangers:
                self._check_stranger(tag)
            elif tag != Tag.MsgType:  # it has been found; FIXT's list of types is of the session's alone
                self._check_value(self._dictionary.fields.get(tag), value)

    def _check_structure(self, fields: list[Field], body: Block) -> tuple[set[int], set[int]]:
        """Places, repeated tags, groups. Returns the tags outside groups, and those that don't belong here."""
        header, trailer = self._dictionary.header, self._dictionary.trailer
        seen: set[int] = set()
        strangers: set[int] = set()
        place = _HEADER
        at = 0
        while at < len(fields):
            tag, value = fields[at]
            if tag in header.tags:
                block, new_place = header, _HEADER
            elif tag in trailer.tags:
                block, new_place = trailer, _TRAILER
            else:
                block, new_place = body, _BODY
            if new_place < place and self._strict.order:
                raise Violation(RejectReason.TAG_OUT_OF_ORDER, tag)
            place = new_place
            if block is body and tag not in body.tags:
                strangers.add(tag)
            if tag in seen:
                raise Violation(RejectReason.TAG_REPEATED, tag)
            seen.add(tag)
            at += 1
            if (group := block.groups.get(tag)) is not None:
                at = self._check_group(fields, at, tag, value, group, block)
        return seen, strangers

    def _check_stranger(self, tag: int) -> None:
        """A tag that this type of message does not have."""
        if not self._strict.unknown_fields or (tag >= USER_DEFINED_MIN and not self._strict.user_defined):
            return
        if tag in self._dictionary.fields:
            raise Violation(RejectReason.TAG_NOT_DEFINED_FOR_TYPE, tag)
        raise Violation(RejectReason.INVALID_TAG_NUMBER, tag)

    def _check_group(
        self, fields: list[Field], at: int, count_tag: int, count: str, group: Block, outer: Block
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
                    self._check_entry(group, seen)
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
                at = self._check_group(fields, at, tag, fields[at - 1][1], nested, group)
        if entries != expected:
            raise Violation(RejectReason.INCORRECT_NUM_IN_GROUP, count_tag)
        if entries:
            self._check_entry(group, seen)
        return at

    def _check_entry(self, group: Block, seen: set[int]) -> None:
        if self._strict.required:
            _check_required(group, seen)

    def _check_value(self, spec: FieldSpec | None, value: str) -> None:
        if spec is None:
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
