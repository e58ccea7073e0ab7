"""A power cut, a rotten bit, a sector in the wrong place: a whole shard comes back to an exact prefix, or does not
start.

Never a wrong state: wherever it comes to, its hash is the one that the desk had there.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from shared_mem import log
from shared_mem.log import LogCorrupt
from shared_mem.log_recovery import find_end
from tests.actors.desk import SEGMENT_BYTES, Desk, deposit
from tests.faults.damage import HALTS, SECTOR_BYTES, Story, flipped, replaced
from tests.shared_mem.desk import contents

LAST_BYTES = 4096
SEED = 20261124


@pytest.fixture
def a_story(run_dir: Path) -> Iterator[Story]:
    """Its files are in memory, where a sync costs nothing."""
    story = Story(run_dir / "log", run_dir, SEED)
    yield story
    story.close()


@pytest.fixture
def a_story_in_batches(a_story: Story) -> Story:
    """The last 4 KiB hold several flushes, so that some of it is proven to have been on disk and some is not."""
    while a_story.end < 2 * LAST_BYTES:
        a_story.batch(2)
    a_story.batch(6)
    return a_story


def torn_at(story: Story, cuts: Iterable[int], rubbish: bytes) -> int:
    """How many cuts were tried, each with a whole shard's recovery."""
    tried = 0
    for cut in cuts:
        damaged = replaced(story.whole, cut, rubbish + bytes(SEGMENT_BYTES - cut - len(rubbish)))
        kept = story.must_come_to(damaged)
        story.put(damaged)
        assert story.recover() == (kept, story.hashes[kept]), f"torn at {cut}"
        tried += 1
    return tried


def whole_and_torn(story: Story) -> tuple[int, int]:
    return story.batch(6), story.end


@pytest.mark.parametrize("rubbish", [b"", b"\xa5" * 13], ids=["zeros", "rubbish"])
def test_a_shard_comes_back_to_a_prefix_wherever_the_last_batch_was_torn(
    a_story: Story, rubbish: bytes
) -> None:
    begin, end = whole_and_torn(a_story)
    around = {edge + n for edge in a_story.hashes if begin <= edge <= end for n in (-1, 0, 1)}
    cuts = sorted({*range(begin, end, 37), *around} & set(range(begin, end)))
    assert torn_at(a_story, cuts, rubbish) > 50


@pytest.mark.faults
@pytest.mark.parametrize("rubbish", [b"", b"\xa5" * 13, b"\xff" * 600], ids=["zeros", "rubbish", "a sector"])
def test_a_shard_comes_back_to_a_prefix_at_every_byte_of_the_last_batch(
    a_story: Story, rubbish: bytes
) -> None:
    begin, end = whole_and_torn(a_story)
    assert torn_at(a_story, range(begin, end), rubbish) == end - begin


def found_by(story: Story, damaged: bytes) -> int:
    """Where the files end, by the recovery's own look at them; or HALTS."""
    story.put(damaged)
    try:
        end = find_end(story.log_dir, SEGMENT_BYTES).position
    except LogCorrupt as error:
        halts_at = error.position
    else:
        halts_at = None
    if halts_at is not None:
        bad = story.first_bad(damaged)
        assert bad is not None
        assert halts_at == bad.begin
        return HALTS
    assert damaged[:end] == story.whole[:end], "what is kept is what was written"
    assert end in story.hashes, "it ends with a whole group"
    return end


def flips(story: Story, bits: Iterable[int]) -> set[int]:
    """Each bit flipped, alone; where the log then ends, and HALTS."""
    outcomes: dict[int, int] = {}
    for bit in bits:
        damaged = flipped(story.whole, bit)
        end = found_by(story, damaged)
        assert end == story.must_come_to(damaged), f"bit {bit % 8} of byte {bit // 8}"
        outcomes[end] = bit
    for end, bit in outcomes.items():  # and a whole shard at each of the ends
        story.put(flipped(story.whole, bit))
        if end == HALTS:
            before = contents(story.log_dir)
            with pytest.raises(LogCorrupt, match=r"is damaged at offset \d+ .*Nothing was changed\. Restore"):
                story.recover()
            assert contents(story.log_dir) == before
        else:
            assert story.recover() == (end, story.hashes[end])
    return set(outcomes)


def test_a_bit_flipped_in_any_of_the_last_4_kib_truncates_or_halts_by_the_rule(
    a_story_in_batches: Story,
) -> None:
    end = a_story_in_batches.end
    outcomes = flips(a_story_in_batches, (8 * at + at % 8 for at in range(end - LAST_BYTES, end + 64, 3)))
    assert HALTS in outcomes
    assert len(outcomes) > 4, "each group of the last batch can be the first that is lost"


@pytest.mark.faults
def test_every_bit_of_the_last_4_kib_flipped_truncates_or_halts_by_the_rule(
    a_story_in_batches: Story,
) -> None:
    end = a_story_in_batches.end
    outcomes = flips(a_story_in_batches, range(8 * (end - LAST_BYTES), 8 * (end + 64)))
    assert HALTS in outcomes


def sectors(story: Story, back: int) -> range:
    last = (story.end - 1) // SECTOR_BYTES * SECTOR_BYTES
    return range(last - (back - 1) * SECTOR_BYTES, last + 1, SECTOR_BYTES)


def test_sectors_zeroed_or_in_each_others_place_give_a_prefix_or_halt(a_story_in_batches: Story) -> None:
    story = a_story_in_batches
    whole = story.whole
    damages = [replaced(whole, at, bytes(SECTOR_BYTES)) for at in sectors(story, 12)]
    for a, b in itertools.combinations(sectors(story, 8), 2):
        damages.append(
            replaced(replaced(whole, a, whole[b : b + SECTOR_BYTES]), b, whole[a : a + SECTOR_BYTES])
        )
    for at in sectors(story, 8):  # an old sector where a new one should be
        damages.append(replaced(whole, at, whole[at - 8 * SECTOR_BYTES : at - 7 * SECTOR_BYTES]))
    ended: set[int] = set()
    for damaged in damages:
        rule, end = story.must_come_to(damaged), found_by(story, damaged)
        # A record out of its place may prove more than one in it: then it halts where it could have cut.
        assert end in (rule, HALTS)
        ended.add(end)
        if end != HALTS:
            assert story.recover() == (end, story.hashes[end])
    assert len(ended) > 2
    assert HALTS in ended


# -- segments ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def four_segments(run_dir: Path) -> Iterator[Desk]:
    desk = Desk(run_dir / "log", run_dir)
    desk.open_market()
    while desk.writer.position < 3 * SEGMENT_BYTES + LAST_BYTES:
        desk.do(deposit(1, reference="x" * 100))
    desk.flusher.flush()
    log.tail_path(run_dir).unlink()
    yield desk
    desk.close()


def halts_unchanged(desk: Desk, match: str) -> None:
    before = contents(desk.log_dir)
    with pytest.raises(LogCorrupt, match=match):
        find_end(desk.log_dir, SEGMENT_BYTES)
    assert contents(desk.log_dir) == before


def test_a_missing_segment_halts_by_its_name(four_segments: Desk) -> None:
    for number in (1, 2, 3):
        path = log.segment_path(four_segments.log_dir, number)
        away = path.with_suffix(".away")
        path.rename(away)
        halts_unchanged(four_segments, rf"{path} is missing; restore it from a copy or a standby")
        away.rename(path)
    assert find_end(four_segments.log_dir, SEGMENT_BYTES).position == four_segments.writer.position


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_segment_with_the_bytes_of_an_older_one_halts(four_segments: Desk, number: int) -> None:
    shutil.copy(
        log.segment_path(four_segments.log_dir, number - 1), log.segment_path(four_segments.log_dir, number)
    )
    halts_unchanged(four_segments, rf"{number:010d}\.log is damaged at offset 0 ")


def test_a_segment_cut_short_in_the_middle_of_the_log_halts(four_segments: Desk) -> None:
    path = log.segment_path(four_segments.log_dir, 1)
    path.write_bytes(path.read_bytes()[: SEGMENT_BYTES // 3])
    halts_unchanged(four_segments, r"0000000001\.log is damaged at offset .*0000000002\.log at offset 0 ")
