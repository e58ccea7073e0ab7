"""Repeating groups in a token table, compiled: how many entries, and where each ends. Nested groups the same way.

A group is known by two things that a dictionary says: its delimiter, the tag that every entry begins with, and its
members, every tag that an entry may hold, those of nested groups too, ascending (an int32 array). An entry goes
from its delimiter to the next delimiter, or to the first tag that is no member. A nested group is read inside its
entry's rows with its own delimiter and members.

    at = group(tokens, base, count_row, rows, delimiter, members)       # the first entry, or what is wrong
    while at < rows and tokens[at].tag == delimiter:
        end = entry_end(tokens, at, rows, delimiter, members)           # the entry is rows at..end
        at = end

Always holds: rows <= tokens.size is the caller's count of filled rows, and no row at or behind it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from fix.wire.tokens import Array, length_value
from shared_mem.jit import jit

# What `group` answers instead of a row; a Reject's reason (373) is in the comment.
BAD_COUNT: Final = -6  # 6, incorrect data format: the count is no number
NO_DELIMITER: Final = -15  # 15, group fields out of order: an entry must begin with its delimiter
COUNT_DIFFERS: Final = -16  # 16, incorrect NumInGroup count


def members_table(tags: Iterable[int]) -> Array:
    """The tags of an entry, those of nested groups too, as `entry_end` wants them."""
    table = np.array(sorted(set(tags)), np.int32)
    table.flags.writeable = False
    return table


@jit
def is_member(members: Array, tag: int) -> bool:
    """Whether `tag` stands in the ascending `members`."""
    low = 0
    high = members.size
    while low < high:
        middle = (low + high) >> 1  # low <= middle < high <= members.size
        if members[middle] < tag:
            low = middle + 1
        else:
            high = middle
    return low < members.size and members[low] == tag


@jit
def entry_end(tokens: Array, at: int, rows: int, delimiter: int, members: Array) -> int:
    """The row behind the entry that begins at row `at` with its delimiter. at < rows."""
    end = at + 1
    while end < rows and tokens[end].tag != delimiter and is_member(members, tokens[end].tag):
        end += 1
    return end


@jit
def group(tokens: Array, base: int, count_row: int, rows: int, delimiter: int, members: Array) -> int:
    """The row of the first entry of the group whose count stands in row `count_row` < rows; or why it is wrong.

    A count of 0 has no entry: the answer is then the row behind it. The entries are counted against it.
    """
    count = length_value(base, tokens[count_row].offset, tokens[count_row].length)
    if count < 0:
        return BAD_COUNT
    at = count_row + 1
    if at < rows and tokens[at].tag != delimiter and is_member(members, tokens[at].tag):
        return NO_DELIMITER
    found = 0
    while at < rows and tokens[at].tag == delimiter:
        at = entry_end(tokens, at, rows, delimiter, members)
        found += 1
    return count_row + 1 if found == count else COUNT_DIFFERS
