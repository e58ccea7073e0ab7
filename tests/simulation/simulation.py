"""One seed, told from its beginning to its end: a desk that trades while everything goes wrong, then is audited.

Always holds: a step is one choice of the seed's dice. After the last step the faults end, everything that is dead is
started, and the desk must come to rest within REST_ROUNDS: what hangs is a finding as much as what is lost.
"""

from __future__ import annotations

import gc
import logging
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from actors.replay import Replica
from actors.snapshot import read_file, restore, state_hash
from actors.view import StateView
from core.records import OrdStatus
from shared_mem.log import Gate, LogCorrupt, Reader
from shared_mem.log_reader import LogReader
from shared_mem.log_recovery import find_end
from tests.simulation.auditor import AccountRow, Auditor, Evidence, OrderRow, proven
from tests.simulation.clients import ACCOUNTS, POSITION_MAX_E8, Gateway, Market
from tests.simulation.fix_hosts import SYMBOLS, RouterHost, VenueHost
from tests.simulation.followers import Consumer, Postgres, Projector, Publisher, Snapshots, Stream
from tests.simulation.hosts import Host, Machine
from tests.simulation.seams import Kernel, seams
from tests.simulation.shard_host import CAPACITY, SEGMENT_BYTES, ShardHost, log_dir, snapshot_path
from tests.simulation.swarm import Swarm
from tests.simulation.wire import Network
from tests.simulation.world import MS, Broken, S, World

STEPS: Final = 600
# Rounds of a quarter second in which everybody gets a turn: a session that waits for a dead one's heartbeats needs 50.
REST_ROUNDS: Final = 900
REST_ROUND_NS: Final = 100 * MS
# How much of the way to a finding is told.
WHERE_FRAMES: Final = 8
HOUR_NS: Final = 3600 * S
_WAITING: Final = (OrdStatus.PENDING_NEW, OrdStatus.PENDING_CANCEL, OrdStatus.PENDING_REPLACE)


class Outcome(NamedTuple):
    """`broken`: what did not hold, None when all did; `where`: the code that said so. `story`: the last steps."""

    seed: int
    digest: str
    broken: str | None
    where: str
    story: list[str]
    seen: Counter[str]


class Simulation:
    def __init__(self, world: World, root: Path, swarm: Swarm, kernel: Kernel) -> None:
        self.world, self.swarm = world, swarm
        self.desk = Machine(world, kernel, root / "desk", swarm.torn, synced=swarm.synced)
        self.desk.on_power_cut = self._power_cut
        self.exchange = Machine(world, kernel, root / "exchange", swarm.torn, synced=True)
        self.network = Network(world, swarm.fragments)
        well_behaved = not (swarm.ill or swarm.busts)
        self.auditor = Auditor(
            synced=swarm.synced, is_well_behaved=well_behaved, position_max_e8=POSITION_MAX_E8
        )
        self.shard = ShardHost(self.desk)
        self.gateway = Gateway(self.desk, self.auditor)
        self.market = Market(world)
        ill_seed = world.rng.randrange(1 << 30) if swarm.ill else None
        self.venue = VenueHost(self.exchange, self.network, ill_seed)
        self.router = RouterHost(self.desk, self.network)
        self.router.venue = self.venue
        self.postgres, self.stream = Postgres(), Stream()
        self.projector = Projector(self.desk, self.postgres)
        self.publisher = Publisher(self.desk, self.stream)
        self.consumer = Consumer(self.stream)
        self.snapshots = Snapshots(self.desk)
        self._memory_is_lost = False
        self._steps = self._by_name()

    @property
    def hosts(self) -> list[Host]:
        return [*self.exchange.hosts, *self.desk.hosts]

    # --- a whole story ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises Broken, or whatever the code that is simulated raises."""
        self._start_all()
        self.gateway.step(self.gateway.open_market)
        for symbol in SYMBOLS:
            self.market.move(self.desk, self.venue, symbol)
        self.come_to_rest()
        names = sorted(self._steps.keys() & self.swarm.shares.keys())
        shares = [self.swarm.shares[name] for name in names]
        for _ in range(self.swarm.steps):
            self.world.steps += 1
            self.world.advance(self.world.rng.choice((0, 50_000, MS, 20 * MS)))
            self._steps[self.world.rng.choices(names, shares)[0]]()
            self._listen()
        self.audit()
        self.gateway.step(self.gateway.cancel_all)
        self.audit()
        self._nothing_is_left()

    def _by_name(self) -> dict[str, Callable[[], object]]:
        gateway, world, market = self.gateway, self.world, self.market
        return {
            "order": lambda: gateway.step(lambda: gateway.order(market)),
            "cancel": lambda: gateway.step(gateway.cancel),
            "replace": lambda: gateway.step(lambda: gateway.replace(market)),
            "ask again": lambda: gateway.step(gateway.ask_again),
            "deposit": lambda: gateway.step(gateway.deposit),
            "account state": lambda: gateway.step(gateway.account_state),
            "answers": lambda: gateway.step(gateway.answers),
            "quote": lambda: market.move(self.desk, self.venue, world.rng.choice(SYMBOLS)),
            "turn": lambda: self.shard.step(self.shard.turn),
            "flush": lambda: self.shard.step(self.shard.flush),
            "timers": lambda: self.shard.step(self.shard.look),
            "route": lambda: self.router.step(self.router.route),
            "router tick": lambda: self.router.step(self.router.tick),
            "deliver": self.network.deliver,
            "venue tick": lambda: self.venue.step(self.venue.tick),
            "bust": self._bust,
            "project": lambda: self.projector.step(self.projector.project),
            "publish": lambda: self.publisher.step(self.publisher.publish),
            "consume": lambda: self.consumer.consume(self.publisher),
            "snapshot": lambda: self.snapshots.step(self.snapshots.snapshot),
            "wait": lambda: world.advance(world.rng.randrange(8 * S)),
            "restart": self._restart_one,
            "kill shard": self._kill_shard,
            "kill router": lambda: self._kill(self.router),
            "kill venue": lambda: self._kill(self.venue),
            "kill follower": lambda: self._kill(
                world.rng.choice((self.gateway, self.projector, self.publisher, self.snapshots))
            ),
            "power cut": lambda: self._power_cut() if world.chance(0.4) else self._power_cut_in_a_call(),
            "venue's power cut": self._venues_power_cut,
            "cut line": lambda: self.network.cut(half_open=False),
            "half-open line": lambda: self.network.cut(half_open=True),
            "partition": self._partition,
            "heal": self._heal,
            "disk error": self._disk_error,
            "disk full": self._disk_full,
            "middlebox": self._middlebox,
            "damage": self._damage,
            "clock jumps": self._clock_jumps,
            "audit": lambda: self.audit() if world.chance(0.3) else None,
        }

    def _listen(self) -> None:
        for direction, tap in (("desk", self.network.tap_desk), ("venue", self.network.tap_venue)):
            self.auditor.heard(direction, tap)
            tap.clear()

    # --- starts and ends ------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        for host in self.hosts:
            self._start(host)

    def _start(self, host: Host) -> None:
        if host.is_alive:
            return
        host.start()
        if self._memory_is_lost and self.shard.process is not None:
            self.auditor.epoch_after_lost_memory(self.shard.shard.writer.tail.epoch)

    def _restart_one(self) -> None:
        if self.shard.is_alive:
            tail = self.shard.shard.writer.tail
            self._memory_is_lost = self._memory_is_lost and tail.written == tail.start
        dead = [host for host in self.hosts if not host.is_alive]
        if dead:
            self._start(self.world.rng.choice(dead))

    def _kill(self, host: Host) -> None:
        """At once, or in one of its next system calls."""
        if host.process is None:
            return
        makes_calls = host not in (self.gateway, self.projector)
        if makes_calls and self.world.chance(0.6):
            host.process.calls_left = self.world.rng.randrange(6)
            self.world.note(f"{host.name} will die")
            return
        self.world.note(f"{host.name} is killed")
        self.world.saw(f"killed: {host.name}")
        host.die()

    def _kill_shard(self) -> None:
        shard = self.shard
        if shard.is_alive and self.world.chance(0.5):
            if shard.die_in_a_command():
                shard.die()
            return
        self._kill(shard)

    def _power_cut_in_a_call(self) -> None:
        """The power goes while a process is in one of its next system calls."""
        host = self.world.rng.choice((self.shard, self.shard, self.router, self.snapshots, self.publisher))
        if host.process is not None:
            host.process.calls_left = self.world.rng.randrange(6)
            host.process.takes_power = True
            self.world.note(f"{host.name} will lose its power")

    def _power_cut(self) -> None:
        self.world.note("power cut")
        self.world.saw("power cut" + ("" if self.desk.synced else ", gate written"))
        self.desk.power_cut()
        self._memory_is_lost = True
        self.auditor.power_cut()
        if not self.desk.synced:
            # The session's store may lack what it had not synced: an operator moves it away, and numbers begin anew.
            self.desk.disk.remove(self.router.folder)
            self.router.begins_anew = True

    def _venues_power_cut(self) -> None:
        self.world.note("the venue's power cut")
        self.world.saw("the venue's power cut")
        self.exchange.power_cut()

    # --- other faults -----------------------------------------------------------------------------------------

    def _bust(self) -> None:
        if self.swarm.busts:
            self.venue.step(self.venue.bust)

    def _partition(self) -> None:
        self.network.is_parted = True
        self.world.saw("a partition")

    def _heal(self) -> None:
        self.network.is_parted = False
        self.network.mangles = 0.0
        self.desk.skew_ns = 0
        self.desk.disk.is_full = False

    def _middlebox(self) -> None:
        self.network.mangles = 0.15

    def _clock_jumps(self) -> None:
        """As the shard reads it: the sessions would end over one that is two minutes off."""
        self.desk.skew_ns = self.world.rng.choice((-HOUR_NS, 0, HOUR_NS))
        self.world.saw("the clock jumps")

    def _disk_error(self) -> None:
        self.desk.disk.fails_sync = True

    def _disk_full(self) -> None:
        self.desk.disk.is_full = True
        self.world.saw("disk full")

    def _damage(self) -> None:
        """A bit of the log turns on the disk: where a later record proves that it was sound, a start halts there."""
        if not self.swarm.synced or self.shard.is_alive:
            return
        paths = sorted(log_dir(self.desk).glob("*.log"))
        sound = [p for p in paths if any(p.read_bytes()[:64])]
        if not sound:
            return
        path, rng = sound[0], self.world.rng
        content = path.read_bytes()
        at = rng.randrange(max(len(content.rstrip(b"\0")) // 2, 1))
        is_proven = proven(content, at)
        path.write_bytes(content[:at] + bytes((content[at] ^ 1 << rng.randrange(8),)) + content[at + 1 :])
        try:
            found = find_end(log_dir(self.desk), SEGMENT_BYTES)
        except LogCorrupt:
            self.world.saw("damage is named")
        else:
            if is_proven:
                raise Broken(f"a bit turned at {path.name}:{at}, and the log is said to end at {found}")
        path.write_bytes(content)

    # --- rest ---------------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Ends the faults, starts what is dead, and gives everybody turns until nothing moves. Raises Broken."""
        self._heal()
        self.desk.disk.fails_sync = False
        for host in self.hosts:
            if host.process is not None:
                host.process.calls_left, host.process.takes_power = -1, False
        quiet = 0
        for _ in range(REST_ROUNDS):
            self._start_all()
            self._round()
            quiet = quiet + 1 if self._restless() is None else 0
            if quiet == 3:
                return
        raise Broken(f"the desk does not come to rest: {self._restless()}")

    def _round(self) -> None:
        for _ in range(3):
            for name in ("turn", "flush", "timers", "route", "router tick", "venue tick", "answers"):
                self._steps[name]()
            for _ in range(20):
                for name in ("project", "publish", "consume"):
                    self._steps[name]()
            while self.network.deliver():
                pass
            self.world.advance(REST_ROUND_NS // 3)
            self._listen()

    def _restless(self) -> str | None:
        """Who has something to do; None when nobody has."""
        for host in self.hosts:
            if not host.is_alive:
                return f"{host.name} is dead"
        for host in (self.shard, self.router, self.gateway, self.projector, self.publisher):
            if not host.is_quiet:
                return f"{host.name} has work"
        if not self.consumer.is_quiet:
            return "the consumer has work"
        if any(end.incoming and not end.is_lost and not end.is_abandoned for end in self.network.ends):
            return "bytes are under way"
        if not self.auditor.venue_is_lost:
            for order in self._orders().values():
                if order.status in _WAITING:
                    return "an order waits for the venue"
        return None

    # --- the audit ------------------------------------------------------------------------------------------

    def audit(self) -> None:
        self.come_to_rest()
        self.world.saw("an audit")
        evidence = self._evidence()
        self.auditor.audit(evidence)
        self.world.note(f"audited, state {evidence.hashes['living']}")

    def _orders(self) -> dict[int, OrderRow]:
        view = StateView.attach(self.desk.run)
        return {
            o.order_id: OrderRow(o.ord_status, o.cum_qty_e8)
            for number in range(1, ACCOUNTS + 1)
            for o in view.orders(number, 10_000)
        }

    def _evidence(self) -> Evidence:
        view = StateView.attach(self.desk.run)
        accounts: dict[int, AccountRow] = {}
        positions: dict[tuple[int, int], int] = {}
        exposed: dict[tuple[int, int], int] = {}
        for number in range(1, ACCOUNTS + 1):
            account = view.account(number)
            if account is None:
                continue
            accounts[number] = AccountRow(account.cash_e6, account.reserved_e6, account.open_orders)
            for found in view.positions(number):
                positions[number, found.instrument] = found.qty_e8
                exposed[number, found.instrument] = found.qty_e8 + found.open_buy_e8
        session = self.venue.session
        sent = [] if session is None else [s.raw for s in session._store.read(1, session.next_out - 1)]
        return Evidence(
            log_dir(self.desk), SEGMENT_BYTES, self._hashes(), accounts, positions, exposed, self._orders(), sent,
            self.postgres.applied, self.postgres.orders, self.consumer.done,
        )  # fmt: skip

    def _hashes(self) -> dict[str, str]:
        where = log_dir(self.desk), self.desk.run, Reader.AUDIT
        from_zero = Replica(CAPACITY, SEGMENT_BYTES)
        reader = LogReader(*where, 0, Gate.SYNCED)
        from_zero.follow(reader)
        reader.close()
        hashes = {
            "living": self.shard.state_hash,
            "replayed": state_hash(from_zero.state),
            "replica": self.snapshots.state_hash,
        }
        snapshot = read_file(snapshot_path(self.desk))
        if snapshot is not None:
            replica = Replica(CAPACITY, SEGMENT_BYTES)
            restore(snapshot, replica.state)
            reader = LogReader(*where, replica.position, Gate.SYNCED)
            replica.follow(reader)
            reader.close()
            hashes["snapshot"] = state_hash(replica.state)
        return hashes

    def _nothing_is_left(self) -> None:
        """Everything was canceled: nothing may be open, and nothing reserved."""
        for number, row in self._evidence().accounts.items():
            if not self.auditor.venue_is_lost and (row.open_orders or row.reserved_e6):
                raise Broken(f"account {number}: all was canceled, and {row} is left")


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-WHERE_FRAMES:]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))


def simulate(seed: int, steps: int = STEPS) -> Outcome:
    """Tells one seed's story. Never raises for what it finds."""
    world = World(seed)
    root = Path(tempfile.mkdtemp(prefix="tradewind-simulation-", dir="/dev/shm"))
    logging.disable(logging.CRITICAL)
    broken, where = None, ""
    try:
        with seams(world) as kernel:
            simulation = Simulation(world, root, Swarm.drawn(world.rng, steps), kernel)
            try:
                simulation.run()
            except Exception as error:  # whatever it is, it is what this seed has found
                broken, where = f"{type(error).__name__}: {error}", _where(error)
            finally:
                for host in simulation.hosts:
                    host.die()
    finally:
        logging.disable(logging.NOTSET)
        gc.collect()
        shutil.rmtree(root)
    return Outcome(seed, world.digest, broken, where, list(world.story), world.seen)
