"""Sockets from compiled code: what has come, as much as goes, and never a wait."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from shared_mem.sockets import END, recv_now, send_now

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    yield near, far
    near.close()
    far.close()


def buffer(size: int) -> np.ndarray:
    return np.zeros(size, np.uint8)


def test_bytes_arrive_as_they_were_sent(pair: Pair) -> None:
    near, far = pair
    out, came = buffer(5), buffer(8)
    out[:] = np.frombuffer(b"a\x01\x00\xff.", np.uint8)
    assert send_now(near.fileno(), out.ctypes.data, 5) == 5
    far.settimeout(5)
    assert far.recv(1, socket.MSG_PEEK) == b"a"
    assert recv_now(far.fileno(), came.ctypes.data, 8) == 5
    assert came.tobytes() == b"a\x01\x00\xff.\0\0\0"


def test_no_more_is_taken_than_there_is_room_for(pair: Pair) -> None:
    near, far = pair
    near.sendall(b"abcdef")
    far.settimeout(5)
    far.recv(6, socket.MSG_PEEK | socket.MSG_WAITALL)
    came = buffer(8)
    assert recv_now(far.fileno(), came.ctypes.data, 4) == 4
    assert came.tobytes() == b"abcd\0\0\0\0"
    assert recv_now(far.fileno(), came.ctypes.data, 4) == 2


def test_nothing_there_is_an_answer_and_not_a_wait(pair: Pair) -> None:
    assert recv_now(pair[0].fileno(), buffer(8).ctypes.data, 8) == 0


def test_a_full_socket_takes_a_part_and_then_none(pair: Pair) -> None:
    out = buffer(1 << 20)
    total, sent = 0, -1
    while sent != 0:
        sent = send_now(pair[0].fileno(), out.ctypes.data, len(out))
        assert sent >= 0
        total += sent
        assert total < 1 << 28
    assert total > 0


def test_the_orderly_end_is_told_apart_from_nothing(pair: Pair) -> None:
    near, far = pair
    near.shutdown(socket.SHUT_WR)
    far.settimeout(5)
    assert far.recv(1, socket.MSG_PEEK) == b""
    assert recv_now(far.fileno(), buffer(8).ctypes.data, 8) == END


def test_a_reset_is_an_error_and_sends_no_signal(pair: Pair) -> None:
    near, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    near.settimeout(5)
    with pytest.raises(ConnectionResetError):
        near.recv(1)  # the reset has come; it is told once
    out = buffer(8)
    assert send_now(near.fileno(), out.ctypes.data, 8) == -errno.EPIPE
    assert recv_now(near.fileno(), out.ctypes.data, 8) == END


def test_a_descriptor_that_is_none_says_so() -> None:
    closed = os.open("/dev/null", os.O_RDONLY)
    os.close(closed)
    assert recv_now(closed, buffer(8).ctypes.data, 8) == -errno.EBADF
