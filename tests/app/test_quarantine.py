"""What a shard does about the deaths of the ones before it, and what an operator can decide, on a log of its own."""

from __future__ import annotations

import argparse
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.amended import Skip, Watch, skips_of
from actors.shard import Lane
from app import config, poisoned, quarantine, quarantine_files
from app.config import Config
from app.faults import StackError
from app.poisoned import CRASHES_MAX, PoisonInLog
from app.quarantine_files import WATCH_FILE, Entry
from core import commands
from core.records import CommandKind
from core.rejects import Reject
from core.units import cash_e6
from tests.actors.desk import ShardDesk, account, deposit, order
from tests.actors.test_poison import die_of, records


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Config]:
    """The configuration of an empty data folder."""
    made = config.load({"data_dir": str(tmp_path / "data")}, {}, tmp_path)
    made.data_dir.mkdir()
    yield made
    shutil.rmtree(made.run_dir, ignore_errors=True)


@pytest.fixture
def desk(here: Config) -> ShardDesk:
    """Two accounts; of an order of the second one `die_of` dies."""
    made = ShardDesk(here.log_dir, here.run_dir)
    made.open_market()
    for raw in (account("TW000002"), deposit(cash_e6(1_000_000), account=2)):
        made.push(Lane.ADMIN, raw)
    made.turn_until_quiet()
    made.shard.writer.close()
    return made


def successor(here: Config) -> ShardDesk:
    return ShardDesk(here.log_dir, here.run_dir)


def say(here: Config, action: str, number: int | None = None) -> int:
    return quarantine.act(here, argparse.Namespace(action=action, number=number))


def test_a_command_is_put_aside_after_so_many_deaths_and_not_before(here: Config, desk: ShardDesk) -> None:
    sent = order("poison", account=2)
    desk.push(Lane.ORDERS_GATEWAY, sent)
    for death in range(1, CRASHES_MAX + 1):
        assert die_of(desk) == -signal.SIGSEGV
        suspect = poisoned.examine(here)
        assert suspect is not None
        assert suspect.crashes == death
        after = successor(here)
        entry = poisoned.put_suspect_aside(here, after.shard, suspect)
        assert (entry is not None) == (death == CRASHES_MAX)
        after.shard.writer.close()
    assert entry is not None
    assert (entry.number, entry.kind, entry.account, entry.command) == (1, CommandKind.NEW_ORDER, 2, sent)
    last = successor(here)
    last.turn_until_quiet()
    assert last.events()[-1].reject_code == Reject.COMMAND_QUARANTINED
    assert poisoned.examine(here) is None


def test_deaths_of_different_commands_are_not_added_up(here: Config, desk: ShardDesk) -> None:
    for name in ("one", "two"):
        desk.push(Lane.ORDERS_GATEWAY, order(name, account=2))
    die_of(desk)
    first = poisoned.examine(here)
    assert first is not None
    after = successor(here)  # which does not die of it
    after.turn_until_quiet()
    after.shard.writer.close()
    assert poisoned.examine(here) is None
    desk.push(Lane.ORDERS_GATEWAY, order("three", account=2))
    die_of(desk)
    again = poisoned.examine(here)
    assert again is not None
    assert (first.crashes, again.crashes) == (1, 1)
    assert first.place != again.place


@pytest.fixture
def a_log_that_kills(here: Config, desk: ShardDesk) -> tuple[int, int]:
    """(seq, position) of an order in the log of which the replay has died CRASHES_MAX times."""
    after = successor(here)
    after.quote()
    after.push(Lane.ORDERS_GATEWAY, order("poison", account=2))
    after.turn_until_quiet()
    after.shard.writer.close()
    (record,) = [r for r in records(after) if r.kind == CommandKind.NEW_ORDER]
    for _ in range(CRASHES_MAX):
        Watch(here.run_dir / WATCH_FILE).one(record.position, 8)
    return record.seq, record.position


def test_a_command_of_the_log_is_left_to_an_operator(
    here: Config, a_log_that_kills: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    seq, position = a_log_that_kills
    for _ in range(2):
        with pytest.raises(PoisonInLog, match=rf"seq {seq} \(new_order of account 2, position {position}\)"):
            poisoned.hold_if_poisoned(here, poisoned.watch_of(here))
    assert "1 put aside and undecided" in quarantine.alert(here)
    assert say(here, "list") == 0
    assert f"log seq {seq}  undecided" in capsys.readouterr().out
    assert say(here, "skip", 1) == 0
    assert skips_of(here.log_dir) == [Skip(position, seq)]
    poisoned.hold_if_poisoned(here, poisoned.watch_of(here))
    assert quarantine.alert(here) == ""
    pushed: list[bytes] = []

    def push(command: bytes) -> bool:
        pushed.append(command)
        return True

    for _ in range(2):
        poisoned.journal_skips(here, push)
    assert [commands.decode(raw)["word_0"] for raw in pushed] == [seq], "the log is told once"
    with pytest.raises(StackError, match="decided already: skipped"):
        say(here, "retry", 1)


def test_a_command_of_the_log_that_is_retried_and_kills_again_is_held_again(
    here: Config, a_log_that_kills: tuple[int, int]
) -> None:
    _, position = a_log_that_kills
    with pytest.raises(PoisonInLog):
        poisoned.hold_if_poisoned(here, poisoned.watch_of(here))
    say(here, "retry", 1)
    poisoned.hold_if_poisoned(here, poisoned.watch_of(here))
    assert skips_of(here.log_dir) == []
    for _ in range(CRASHES_MAX):
        Watch(here.run_dir / WATCH_FILE).one(position, 8)
    with pytest.raises(PoisonInLog, match="QUARANTINE 2"):
        poisoned.hold_if_poisoned(here, poisoned.watch_of(here))


def entry(kind: CommandKind, place: int = 1) -> Entry:
    return Entry(
        number=0, found_ns=0, kind=kind, lane=4, place=place, crashes=3, account=1, order_id=7, command=b""
    )


@pytest.mark.parametrize("kind", [CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE])
def test_what_its_sender_was_refused_cannot_be_retried(here: Config, kind: CommandKind) -> None:
    quarantine_files.add(here, entry(kind))
    with pytest.raises(StackError, match="was told that it is rejected"):
        say(here, "retry", 1)
    assert quarantine_files.undecided(here), "and stays undecided"


def test_a_timer_is_held_back_until_it_is_retried(here: Config) -> None:
    quarantine_files.add(here, entry(CommandKind.DAY_END))
    assert quarantine_files.holds(here, CommandKind.DAY_END, 1, 7)
    assert not quarantine_files.holds(here, CommandKind.DAY_END, 1, 8)
    say(here, "retry", 1)
    assert not quarantine_files.holds(here, CommandKind.DAY_END, 1, 7)


def test_one_that_was_found_twice_before_it_was_put_aside_is_one(here: Config) -> None:
    first = quarantine_files.add(here, entry(CommandKind.DEPOSIT))
    assert quarantine_files.add(here, entry(CommandKind.DEPOSIT)) == first
    assert quarantine_files.add(here, entry(CommandKind.DEPOSIT, place=2)).number == 2


def test_a_number_that_is_not_there_is_told(here: Config) -> None:
    with pytest.raises(StackError, match="nothing in quarantine has number 5"):
        say(here, "skip", 5)
    with pytest.raises(StackError, match="say which"):
        say(here, "skip")
