"""Whether a message is surely one that its dictionary knows, compiled: the fast half of `fix/validation.py`.

    order = rules_of(load("FIX.4.4"), "D")
    check(tokens, count, base, order, numbers)  # True: the Validator, as strict as it can be, finds no fault

A value is read once: what `check` has to read, to know that it has the form of its type, it leaves in `numbers`.

False means only that it is not sure: a fault, or something rare (a repeating group, a date, a long number). The
Python Validator then decides, and gives the reason. So the rules and their English stand in one place.

Always holds: what is True here is True there, at any strictness. Rows 0..count of the tokens were filled by
`tokenise` from `base`, so every value's bytes are there; every other index says in its place why it is inside.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from fix.data_types import FITS
from fix.dictionary import Dictionary, DictionaryError, FieldSpec
from fix.tags import Tag
from fix.wire.tokens import TOKENS_MAX, Array
from fix.wire.values import BAD, read_bool, read_char, read_e8, read_int, read_utc_ns
from shared_mem.atomics import load_u8
from shared_mem.jit import jit

# What a value must look like. RARE: ask the Validator.
_ANY: Final = 0
_INT: Final = 1
_COUNT: Final = 2
_FLOAT: Final = 3
_CHAR: Final = 4
_BOOLEAN: Final = 5
_TIMESTAMP: Final = 6
_RARE: Final = 7

_FORMS: Final = {
    "INT": _INT,
    "SEQNUM": _COUNT,
    "LENGTH": _COUNT,
    "TAGNUM": _COUNT,
    "FLOAT": _FLOAT,
    "QTY": _FLOAT,
    "QUANTITY": _FLOAT,
    "PRICE": _FLOAT,
    "PRICEOFFSET": _FLOAT,
    "AMT": _FLOAT,
    "PERCENTAGE": _FLOAT,
    "CHAR": _CHAR,
    "BOOLEAN": _BOOLEAN,
    "UTCTIMESTAMP": _TIMESTAMP,
}

_HEADER: Final = 0
IN_BODY: Final = 1
_TRAILER: Final = 2

_MINUS: Final = ord("-")
_PLUS: Final = ord("+")
# A listed value is compared as one word; longer ones are for the Validator.
_WORD_BYTES: Final = 8

# One field of one message type. low and high: the listed values of one character, as bits; words, words_end: where
# its longer ones stand in Rules.words; listed: whether there are any at all.
RULE: Final = np.dtype(
    [
        ("low", "i8"),
        ("high", "i8"),
        ("words", "i4"),
        ("words_end", "i4"),
        ("place", "i1"),
        ("form", "i1"),
        ("required", "i1"),
        ("listed", "i1"),
    ],
    align=True,
)


class Rules(NamedTuple):
    """rule_of: by tag, its row in `rules`, -1 for a tag that the type lacks. seen: by row, the number of the last
    message that had it; seen[-1] is that of the present one. It is the checker's own: Rules have one user."""

    rule_of: Array
    rules: Array
    words: Array
    seen: Array
    required: int


def numbers_table(capacity: int = TOKENS_MAX) -> Array:
    """As many as the token table has rows."""
    return np.zeros(capacity, np.int64)


def rules_of(dictionary: Dictionary, msg_type: str) -> Rules:
    """The rules of one type. Raises DictionaryError when the dictionary has no such type."""
    spec = dictionary.message(msg_type)
    if spec is None:
        raise DictionaryError(f"{dictionary.version} has no message of type {msg_type!r}")
    places: dict[int, tuple[int, bool, bool]] = {}
    for place, block in ((_TRAILER, dictionary.trailer), (IN_BODY, spec.body), (_HEADER, dictionary.header)):
        for tag in block.tags:  # a tag of the header is one, wherever else it may be listed
            places[tag] = (place, tag in block.required, tag in block.groups)
    rule_of = np.full(max(places) + 1, -1, np.int32)
    rules = np.zeros(len(places), RULE)
    words: list[int] = []
    for row, (tag, (place, required, is_group)) in enumerate(sorted(places.items())):
        rule_of[tag] = row
        field = dictionary.fields[tag]
        rule = rules[row]
        rule["place"], rule["required"] = place, required
        rule["form"] = _RARE if is_group or tag == Tag.ApplVerID else _form(field)
        if tag != Tag.MsgType:  # it chose these rules
            _list_values(rule, field, words)
    return Rules(
        rule_of,
        rules,
        np.array(words or [0], np.int64),
        np.zeros(len(rules) + 1, np.int64),
        int(rules["required"].sum()),
    )


def _form(field: FieldSpec) -> int:
    return _FORMS.get(field.type, _RARE if field.type in FITS else _ANY)


def _list_values(rule: Any, field: FieldSpec, words: list[int]) -> None:
    rule["listed"] = bool(field.values)
    rule["words"] = len(words)
    low = high = 0
    for value in field.values:
        data = value.encode("latin-1", "replace")
        if len(data) == 1 and data[0] < 64:
            low |= 1 << data[0]
        elif len(data) == 1 and data[0] < 128:
            high |= 1 << (data[0] - 64)
        elif len(data) <= _WORD_BYTES and data.isascii():
            words.append(int.from_bytes(data, "little"))
    rule["low"], rule["high"] = (bits - (1 << 64) if bits >> 63 else bits for bits in (low, high))
    rule["words_end"] = len(words)


@jit
def _read(form: int, address: int, length: int) -> int:
    """The value, when it surely has its type's form; else BAD. length >= 1: a token is never empty."""
    if form == _FLOAT:
        return BAD if load_u8(address) == _PLUS else read_e8(address, length)
    if form == _CHAR:
        return read_char(address, length)
    if form == _TIMESTAMP:
        return read_utc_ns(address, length)
    if form == _INT:
        return read_int(address, length)
    if form == _COUNT:
        return BAD if load_u8(address) == _MINUS else read_int(address, length)
    return read_bool(address, length) if form == _BOOLEAN else BAD


@jit
def _is_listed(rule: Any, words: Array, address: int, length: int) -> bool:
    """Whether the value is among those that the dictionary lists."""
    if length == 1:
        byte = load_u8(address)
        if byte < 64:
            return (rule.low >> byte) & 1 == 1
        return byte < 128 and (rule.high >> (byte - 64)) & 1 == 1
    if length > _WORD_BYTES:
        return False
    word = 0
    for at in range(length):
        word |= load_u8(address + at) << (8 * at)
    for i in range(rule.words, rule.words_end):  # rows that `rules_of` put into `words`
        if words[i] == word:
            return True
    return False


@jit
def check(tokens: Array, count: int, base: int, rules: Rules, numbers: Array) -> bool:
    """True when the message of these tokens surely has no fault; see above. count <= tokens.size.

    numbers[i] then has what row i says: a price, a quantity or another float as an integer of 10**-8, a time in ns
    since 1970, a character's code, 1 or 0 for Y or N; and BAD for a text.
    """
    if count > numbers.size:
        return False
    present = rules.seen.size - 1
    message = rules.seen[present] + 1
    rules.seen[present] = message
    required = 0
    place = _HEADER
    for i in range(count):
        tag = tokens[i].tag  # 1..2**31 - 1
        row = rules.rule_of[tag] if tag < rules.rule_of.size else -1
        if row < 0 or rules.seen[row] == message:  # row < rules.size: `rules_of` numbered them
            return False
        rules.seen[row] = message
        rule = rules.rules[row]
        if rule.place < place:
            return False
        place = rule.place
        required += rule.required
        address = base + tokens[i].offset
        number = BAD
        if rule.form != _ANY:
            number = _read(rule.form, address, tokens[i].length)
            if number == BAD:
                return False
        numbers[i] = number
        if rule.listed and not _is_listed(rule, rules.words, address, tokens[i].length):
            return False
    return required == rules.required
