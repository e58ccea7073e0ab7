"""The machine's own operations: ordered loads and stores, read-modify-write, fence, pause, CRC-32C, libc calls.

The only file that sees LLVM. Addresses, positions and sequence numbers are int64 everywhere (user space ends
at 2**47, and numba turns uint64 + int64 into a float). Every address given here must be 8-byte aligned for the
64-bit operations; nothing here checks bounds.
"""

from __future__ import annotations

import platform
from typing import Any, Final

import llvmlite.binding
import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.types import ExternalFunction

from shared_mem.jit import jit

# The checker sees what a compiled function calls, not the typing function that numba is given.
intrinsic: Any = numba.extending.intrinsic

_I8: Final = ir.IntType(8)
_I16: Final = ir.IntType(16)
_I32: Final = ir.IntType(32)
_I64: Final = ir.IntType(64)
_I128: Final = ir.IntType(128)
_VOID: Final = ir.VoidType()

MACHINE: Final = platform.machine()
_FEATURES: Final = llvmlite.binding.get_host_cpu_features()
X86: Final = MACHINE in ("x86_64", "AMD64")
ARM: Final = MACHINE in ("aarch64", "arm64")
HAS_CRC_INSTRUCTION: Final = bool(_FEATURES.get("sse4.2" if X86 else "crc", False))


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic
def load_acquire(typing_context: Any, address: Any) -> Any:
    """int64 at `address`; nothing after it is read earlier."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, args[0], _I64), "acquire", 8)

    return types.int64(types.int64), emit


@intrinsic
def store_release(typing_context: Any, address: Any, value: Any) -> Any:
    """Store int64 at `address`; nothing before it is written later."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0], _I64), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def fetch_add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to the int64 at `address` in one step; the value before it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, args[0], _I64), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def exchange(typing_context: Any, address: Any, value: Any) -> Any:
    """Store int64 at `address` in one step; the value before it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("xchg", _pointer(builder, args[0], _I64), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def compare_and_swap(typing_context: Any, address: Any, expected: Any, value: Any) -> Any:
    """Store `value` if `expected` stands there; True when it did."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], _I64)
        result = builder.cmpxchg(pointer, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(result, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit


@intrinsic
def fence(typing_context: Any) -> Any:
    """Nothing moves across: the store before it is seen before the load after it is done."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


def _one_way_fence(ordering: str) -> Any:
    @intrinsic
    def one_way(typing_context: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), emit

    return one_way


# Free on x86-64 but for what the compiler may move: stores before are seen before stores after; loads before
# are done before loads after.
release_fence = _one_way_fence("release")
acquire_fence = _one_way_fence("acquire")


@intrinsic
def pause(typing_context: Any) -> Any:
    """Tell the core that this is a spin loop."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if X86:
            function = builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), ir.FunctionType(_VOID, []))
            builder.call(function, [])
        elif ARM:
            # `yield` is a no-op on cores without SMT; `isb sy` (15) waits about as long as x86's pause. Rust's
            # spin_loop and MySQL came to the same.
            function = builder.module.declare_intrinsic(
                "llvm.aarch64.isb", (), ir.FunctionType(_VOID, [_I32])
            )
            builder.call(function, [ir.Constant(_I32, 15)])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Begin to fetch the cache line at `address`; any address may be given, also one that is not mapped."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(_VOID, [pointer, _I32, _I32, _I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), kind)
        to_read, keep, data = (ir.Constant(_I32, n) for n in (0, 3, 1))
        builder.call(function, [builder.inttoptr(args[0], pointer), to_read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), emit


@intrinsic
def cycles(typing_context: Any) -> Any:
    """The time stamp counter: rdtsc, or CNTVCT_EL0 on aarch64. Its rate is the machine's own."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = builder.module.declare_intrinsic("llvm.readcyclecounter", (), ir.FunctionType(_I64, []))
        return builder.call(function, [])

    return types.int64(), emit


def _plain_load(kind: Any) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(_pointer(builder, args[0], kind), align=1)
            return value if kind is _I64 else builder.zext(value, _I64)

        return types.int64(types.int64), emit

    return load


def _plain_store(kind: Any) -> Any:
    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = args[1] if kind is _I64 else builder.trunc(args[1], kind)
            builder.store(value, _pointer(builder, args[0], kind), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), emit

    return store


load_u8 = _plain_load(_I8)
load_u16 = _plain_load(_I16)
load_u32 = _plain_load(_I32)
load_i64 = _plain_load(_I64)
store_u8 = _plain_store(_I8)
store_u16 = _plain_store(_I16)
store_u32 = _plain_store(_I32)
store_i64 = _plain_store(_I64)


@intrinsic
def match_64(typing_context: Any, address: Any, byte: Any) -> Any:
    """Bit i is set where byte i of the 64 at `address` is `byte`: a few instructions where there are vectors."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(_I8, 64)
        loaded = builder.load(_pointer(builder, args[0], kind), align=1)
        undefined = ir.Constant(kind, ir.Undefined)
        one = builder.insert_element(undefined, builder.trunc(args[1], _I8), ir.Constant(_I32, 0))
        every = builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, 64), [0] * 64))
        return builder.bitcast(builder.icmp_unsigned("==", loaded, every), _I64)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """How many low bits of `word` are 0; 64 for 0."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_I64, [_I64, ir.IntType(1)])
        function = builder.module.declare_intrinsic("llvm.cttz", (_I64,), kind)
        return builder.call(function, [args[0], ir.Constant(ir.IntType(1), 0)])

    return types.int64(types.int64), emit


@intrinsic
def copy_bytes(typing_context: Any, target: Any, source: Any, length: Any) -> Any:
    """memcpy: the ranges must not overlap."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(_VOID, [pointer, pointer, _I64, ir.IntType(1)])
        function = builder.module.declare_intrinsic("llvm.memcpy", (pointer, pointer, _I64), kind)
        target, source = (builder.inttoptr(a, pointer) for a in args[:2])
        builder.call(function, [target, source, args[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


@intrinsic
def multiply_wide(typing_context: Any, a: Any, b: Any) -> Any:
    """The 128-bit product of two int64 as (high, low); low is a bit pattern, high carries the sign."""
    pair: Any = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.mul(builder.sext(args[0], _I128), builder.sext(args[1], _I128))
        high = builder.trunc(builder.ashr(product, ir.Constant(_I128, 64)), _I64)
        return context.make_tuple(builder, signature.return_type, [high, builder.trunc(product, _I64)])

    return pair(types.int64, types.int64), emit


@intrinsic
def _crc_step(typing_context: Any, crc: Any, word: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if X86:
            kind = ir.FunctionType(_I64, [_I64, _I64])
            function = builder.module.declare_intrinsic("llvm.x86.sse42.crc32.64.64", (), kind)
            return builder.call(function, args)
        kind = ir.FunctionType(_I32, [_I32, _I64])
        function = builder.module.declare_intrinsic("llvm.aarch64.crc32cx", (), kind)
        return builder.zext(builder.call(function, [builder.trunc(args[0], _I32), args[1]]), _I64)

    return types.int64(types.int64, types.int64), emit


def _crc_table() -> np.ndarray[Any, np.dtype[np.int64]]:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4), reflected polynomial 0x82F63B78, one byte at a time."""
    table = np.zeros(256, np.int64)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table[byte] = crc
    table.flags.writeable = False
    return table


_CRC_TABLE: Final = _crc_table()


@jit
def _crc_step_portable(crc: int, word: int) -> int:
    for shift in range(0, 64, 8):
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ (word >> shift)) & 0xFF]
    return crc


@jit
def crc32c_portable(address: int, length: int, start: int) -> int:
    """As crc32c, without the instruction: for processors that lack it, and as its oracle."""
    crc = start ^ 0xFFFFFFFF
    for offset in range(0, length, 8):
        crc = _crc_step_portable(crc, load_i64(address + offset))
    return crc ^ 0xFFFFFFFF


@jit
def _crc32c_instruction(address: int, length: int, start: int) -> int:
    crc = start ^ 0xFFFFFFFF
    for offset in range(0, length, 8):
        crc = _crc_step(crc, load_i64(address + offset))
    return crc ^ 0xFFFFFFFF


_BY_INSTRUCTION: Final = HAS_CRC_INSTRUCTION and (X86 or ARM)
# CRC-32C of `length` bytes (a multiple of 8) from `address`, carried on from `start` (0 at the beginning).
crc32c = _crc32c_instruction if _BY_INSTRUCTION else crc32c_portable
# Its inner step, over one word, for a loop that copies the words as well. Begin and end by `^ 0xFFFFFFFF`.
crc32c_step = _crc_step if _BY_INSTRUCTION else _crc_step_portable


@intrinsic
def as_pointer(typing_context: Any, address: Any) -> Any:
    """The address as libc takes it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], _I8.as_pointer())

    return types.voidptr(types.int64), emit


_libc_write: Any = ExternalFunction("write", types.int64(types.int32, types.voidptr, types.uint64))
_libc_read: Any = ExternalFunction("read", types.int64(types.int32, types.voidptr, types.uint64))
_libc_poll: Any = ExternalFunction("poll", types.int32(types.voidptr, types.uint64, types.int32))
_libc_clock_gettime: Any = ExternalFunction("clock_gettime", types.int32(types.int32, types.voidptr))
_libc_sched_yield: Any = ExternalFunction("sched_yield", types.int32())

CLOCK_REALTIME: Final = 0
CLOCK_MONOTONIC: Final = 1
# Linux: as CLOCK_MONOTONIC, and it goes on while the machine sleeps.
CLOCK_BOOTTIME: Final = 7


@jit
def write_fd(fd: int, address: int, length: int) -> int:
    return _libc_write(np.int32(fd), as_pointer(address), np.uint64(length))


@jit
def read_fd(fd: int, address: int, length: int) -> int:
    return _libc_read(np.int32(fd), as_pointer(address), np.uint64(length))


@jit
def poll_readable(scratch: int, fd: int, timeout_ms: int) -> int:
    """Wait until `fd` can be read; 1, or 0 after `timeout_ms`. scratch: 8 writable bytes (struct pollfd)."""
    store_u32(scratch, fd)
    store_u32(scratch + 4, 1)  # events = POLLIN, revents = 0
    return _libc_poll(as_pointer(scratch), np.uint64(1), np.int32(timeout_ms))


@jit
def clock_ns(clock: int, scratch: int) -> int:
    """clock_gettime in nanoseconds. scratch: 16 writable bytes (struct timespec)."""
    _libc_clock_gettime(np.int32(clock), as_pointer(scratch))
    return load_i64(scratch) * 1_000_000_000 + load_i64(scratch + 8)


@jit
def yield_core() -> int:
    return _libc_sched_yield()
