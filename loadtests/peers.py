"""What others use between two processes on one machine, called from Python: the ring's peers.

Measured: 64 bytes there and back, one at a time, half the round trip (median); then a stream of them one way. Each
peer's child is a fresh process. What is not installed is left out: `make bench` installs what pyproject.toml's group
`bench` names.
Chosen so that each does its best: ZeroMQ over ipc with PAIR sockets and without a high-water mark; iceoryx2 with a
subscriber that spins and a publisher that waits for room, so that nothing is dropped. multiprocessing.Queue and
ZeroMQ have threads of their own, so they are not pinned; iceoryx2 and our ring are.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from loadtests.measure import pin

HOPS: Final = 5_000
MESSAGES: Final = 50_000
SIZE: Final = 64
# A child that does not answer any more must not hold the benchmark for ever.
CHILD_S: Final = 60

Send = Callable[[bytes], Any]
Receive = Callable[[], Any]
# (a folder that both know, is it the child) -> its two functions; the objects behind them live as long as they do.
Side = Callable[[str, bool], tuple[Send, Receive]]


class Pair(NamedTuple):
    hop_ns: float
    per_s: float


def _echo(side: Side, folder: str, hops: int, messages: int) -> None:
    send, receive = side(folder, True)
    for _ in range(hops):
        receive()
        send(bytes(SIZE))
    for _ in range(messages):
        receive()
    send(bytes(SIZE))
    time.sleep(0.1)  # until the answer is out: what a peer sends from a thread of its own dies with it


def measure(side: Side, hops: int, messages: int, size: int) -> Pair:
    """A round over `side`, forked: nothing of the peer is made before the fork."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        child = multiprocessing.get_context("fork").Process(target=_echo, args=(side, folder, hops, messages))
        child.start()
        affinity = os.sched_getaffinity(0)
        try:
            send, receive = side(folder, False)
            record = bytes(size)
            trips = []
            for _ in range(hops):
                begin = time.perf_counter_ns()
                send(record)
                receive()
                trips.append(time.perf_counter_ns() - begin)
            begin = time.perf_counter_ns()
            for _ in range(messages):
                send(record)
            receive()
            took = time.perf_counter_ns() - begin
        finally:
            os.sched_setaffinity(0, affinity)
            child.join(CHILD_S)
            if child.is_alive():
                child.kill()
    return Pair(statistics.median(trips) / 2, messages * 1e9 / took)


def queue() -> Pair:
    """multiprocessing.Queue."""
    there: multiprocessing.Queue[bytes] = multiprocessing.Queue(4096)
    back: multiprocessing.Queue[bytes] = multiprocessing.Queue(4096)

    def side(_folder: str, is_child: bool) -> tuple[Send, Receive]:
        return (back.put, there.get) if is_child else (there.put, back.get)

    return measure(side, HOPS, MESSAGES, SIZE)


def zeromq() -> Pair | None:
    """ZeroMQ, a PAIR of sockets over ipc."""
    if find_spec("zmq") is None:
        return None

    def side(folder: str, is_child: bool) -> tuple[Send, Receive]:
        import zmq

        socket = zmq.Context().socket(zmq.PAIR)
        socket.set_hwm(0)
        address = f"ipc://{folder}/pair"
        if is_child:
            socket.connect(address)
        else:
            socket.bind(address)
        return socket.send, socket.recv

    return measure(side, HOPS, MESSAGES, SIZE)


class _Payload(ctypes.Structure):
    _fields_ = (("data", ctypes.c_uint8 * SIZE),)


def iceoryx2() -> Pair | None:
    """iceoryx2, publish and subscribe, one service each way."""
    if find_spec("iceoryx2") is None:
        return None
    name = f"tradewind-bench-{os.getpid()}-{time.monotonic_ns()}"

    def side(_folder: str, is_child: bool) -> tuple[Send, Receive]:
        import iceoryx2 as iox

        pin(1 if is_child else 0)
        iox.set_log_level(iox.LogLevel.Error)
        node = iox.NodeBuilder.new().create(iox.ServiceType.Ipc)

        def service(direction: str) -> Any:
            builder = node.service_builder(iox.ServiceName.new(f"{name}-{direction}"))
            described = builder.publish_subscribe(_Payload)
            described = described.enable_safe_overflow(False).subscriber_max_buffer_size(4096)
            return described.open_or_create()

        there, back = service("there"), service("back")
        out, in_ = (back, there) if is_child else (there, back)
        subscriber = in_.subscriber_builder().buffer_size(4096).create()
        waits = iox.BackpressureStrategy.RetryUntilDelivered
        publisher = out.publisher_builder().backpressure_strategy(waits).create()
        payload = _Payload()
        while out.dynamic_config.number_of_subscribers == 0 or in_.dynamic_config.number_of_publishers == 0:
            pass

        def send(_record: bytes) -> None:
            publisher.send_copy(payload)

        def receive() -> bytes:
            while (sample := subscriber.receive()) is None:
                pass
            return ctypes.string_at(sample.payload_ptr, SIZE)

        return send, receive

    return measure(side, HOPS, MESSAGES, SIZE)


PEERS: Final[dict[str, Callable[[], Pair | None]]] = {
    "multiprocessing.Queue": queue,
    "ZeroMQ ipc": zeromq,
    "iceoryx2": iceoryx2,
}
LABELS: Final = {"multiprocessing.Queue": "queue", "ZeroMQ ipc": "zeromq", "iceoryx2": "iceoryx2"}
