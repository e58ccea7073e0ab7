"""Every operation of shared_mem/atomics.py, and the functions that stand on its fences, as aarch64 machine code.

They are compiled here, not run: what is checked is that the other processor has each operation, and that the fences
that docs/memory-order.md argues with are in the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
import pytest
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target

from shared_mem import atomics, bell, broadcast, log, ring, table

TRIPLE = "aarch64-unknown-linux-gnu"
I64 = types.int64
# As shared_mem/jit.py has them, but not cached: numba shows no code that it took from its cache.
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}


@pytest.fixture(scope="module")
def machine() -> Any:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(TRIPLE)
    except RuntimeError as error:
        pytest.skip(f"this LLVM knows no aarch64: {error}")
    return target.create_target_machine(cpu="neoverse-n1", features="+crc", opt=3, codemodel="small")


def assembled(machine: Any, source: str) -> str:
    module = llvm.parse_assembly(source)
    module.verify()
    return str(machine.emit_assembly(module))


INTRINSICS: list[tuple[str, list[Any], str]] = [
    ("load_acquire", [I64], r"\bldap?r\b"),
    ("store_release", [I64, I64], r"\bstlr\b"),
    ("fetch_add", [I64, I64], r"\bldaddal\b"),
    ("exchange", [I64, I64], r"\bswpal\b"),
    ("compare_and_swap", [I64, I64, I64], r"\bcasal\b"),
    ("fence", [], r"\bdmb\s+ish\n"),
    ("release_fence", [], r"\bdmb\s+ish\n"),
    ("acquire_fence", [], r"\bdmb\s+ishld\n"),
    ("pause", [], r"\bisb\b"),
    ("prefetch", [I64], r"\bprfm\s+pldl1keep"),
    ("cycles", [], r"\bmrs\s+\w+, CNTVCT_EL0"),
    ("load_u8", [I64], r"\bldrb\b"),
    ("load_u16", [I64], r"\bldrh\b"),
    ("load_u32", [I64], r"\bldr\s+w"),
    ("load_i64", [I64], r"\bldr\s+x"),
    ("store_u8", [I64, I64], r"\bstrb\b"),
    ("store_u16", [I64, I64], r"\bstrh\b"),
    ("store_u32", [I64, I64], r"\bstr\s+w"),
    ("store_i64", [I64, I64], r"\bstr\s+x"),
    ("match_64", [I64, I64], r"\bcmeq\b"),
    ("trailing_zeros", [I64], r"\bclz\b"),
    ("copy_bytes", [I64, I64, I64], r"\bmemcpy\b"),
    ("multiply_wide", [I64, I64], r"\bsmulh\b"),
    ("_crc_step", [I64, I64], r"\bcrc32cx\b"),
]


@pytest.mark.parametrize(("name", "arguments", "instruction"), INTRINSICS, ids=[i[0] for i in INTRINSICS])
def test_an_operation_becomes_its_instruction(
    machine: Any, monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[Any], instruction: str
) -> None:
    monkeypatch.setattr(atomics, "X86", False)
    monkeypatch.setattr(atomics, "ARM", True)
    signature, emit = getattr(atomics, name)._defn(None, *arguments)
    context = cpu_target.target_context
    module = ir.Module(name)
    module.triple = TRIPLE
    result = context.get_value_type(signature.return_type)
    is_void = signature.return_type == types.void
    kind = ir.FunctionType(ir.VoidType() if is_void else result, [ir.IntType(64)] * len(arguments))
    function = ir.Function(module, kind, name)
    builder = ir.IRBuilder(function.append_basic_block())
    value = emit(context, builder, signature, list(function.args))
    builder.ret_void() if is_void else builder.ret(value)
    assert re.search(instruction, assembled(machine, str(module)))


def test_no_operation_is_left_out() -> None:
    intrinsics = {
        id(one): name for name, one in vars(atomics).items() if isinstance(one, type(atomics.pause))
    }
    tried = {id(getattr(atomics, name)) for name, _, _ in INTRINSICS}
    assert [name for key, name in intrinsics.items() if key not in tried] == ["as_pointer"]


def compiled(machine: Any, function: Callable[..., Any], arguments: int) -> list[str]:
    """The ordered instructions of a function of int64s: fences, acquires, releases, and copies and stores between."""
    signature = (types.int64,) * arguments
    original: Any = function
    dispatcher: Any = numba.njit(**OPTIONS)(original.py_func)
    dispatcher.compile(signature)
    source = dispatcher.inspect_llvm(signature)
    source = re.sub(r'target triple = "[^"]*"', f'target triple = "{TRIPLE}"', source)
    source = re.sub(r'target datalayout = "[^"]*"\n', "", source)
    source = re.sub(r'"target-(cpu|features)"="[^"]*"', "", source)
    source = re.sub(
        r".*call void @llvm\.x86\.sse2\.pause.*\n", "", source
    )  # what LLVM meets there it aborts on
    assembly = assembled(machine, source)
    name = dispatcher.overloads[signature].fndesc.llvm_func_name
    body = assembly[assembly.index(f"\n{name}:") :]
    body = body[: body.index(".Lfunc_end")]
    kinds = {
        r"dmb\s+ish$": "fence", r"dmb\s+ishld": "acquire fence", r"stlr\b": "release", r"ldap?r\b": "acquire",
        r"bl?\s+memcpy|bl?\s+memmove": "copy", r"str\b|stp\b": "store", r"casal": "swap", r"bl\s+write": "write",
    }  # fmt: skip
    found = []
    for line in body.splitlines():
        for pattern, kind in kinds.items():
            if re.match(rf"\s+{pattern}", line):
                found.append(kind)
    return found


def ordering(machine: Any, function: Callable[..., Any], arguments: int) -> list[str]:
    """As `compiled`, without plain stores: the compiler's own for the result is one."""
    return [kind for kind in compiled(machine, function, arguments) if kind != "store"]


def in_order(found: list[str], *wanted: str) -> bool:
    rest = iter(found)
    return all(kind in rest for kind in wanted)


def test_a_push_is_released_after_its_copy(machine: Any) -> None:
    found = compiled(machine, ring.try_push, 3)
    assert in_order(found, "acquire", "copy", "release")
    assert found[-1] == "release" or found.index("release") > found.index("copy")


def test_a_broadcast_marks_its_slot_before_it_overwrites_it(machine: Any) -> None:
    assert in_order(compiled(machine, broadcast.publish, 3), "store", "fence", "copy", "release", "release")
    assert in_order(
        compiled(machine, broadcast.read, 3), "acquire", "acquire", "copy", "acquire fence", "acquire"
    )


def test_what_is_published_to_the_log_is_seen_before_the_next_record_is_begun(machine: Any) -> None:
    assert ordering(machine, log.publish, 3)[-2:] == ["release", "fence"]
    assert ordering(machine, log.load_word_after, 1) == ["acquire fence", "acquire"]


def test_a_bell_is_looked_at_behind_a_full_fence_on_both_sides(machine: Any) -> None:
    assert in_order(compiled(machine, bell.ring_if_parked, 3), "fence", "acquire", "write", "swap")
    assert ordering(machine, bell.park_flag, 2) == ["release", "fence"]
    found = compiled(machine, log.ring_bells, 3)
    assert found.count("fence") == 1, "one for all readers"


def test_a_row_is_written_behind_a_fence_and_looked_at_again_behind_one(machine: Any) -> None:
    assert in_order(compiled(machine, table.write, 3), "fence", "copy", "release")
    assert in_order(compiled(machine, table.read, 4), "acquire", "copy", "acquire fence", "acquire")
