"""A vector of float32 lanes as a type of Numba, so that kernels say what the processor does.

Numba leaves vectorising to LLVM's loop passes, which check before every inner loop whether its
arrays overlap, and keep sums in memory. Here a number of lanes is one value: it is loaded, computed
with and stored, and LLVM splits it into the registers that the processor has.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
)

# NaN stays NaN: "nnan" would let the compiler assume it away, and a broken model look healthy.
_FLAGS = ("nsz", "contract", "arcp", "afn", "reassoc")
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)


class Lanes(types.Type):
    """``count`` float32 numbers side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        vector = ir.VectorType(_FLOAT, lanes.count)
        super().__init__(manager, lanes, vector)  # type: ignore[no-untyped-call]


def _splat(builder: Any, number: Any, count: int) -> Any:
    vector = ir.VectorType(number.type, count)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, _INT(0))
    mask = ir.Constant(ir.VectorType(_INT, count), [0] * count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _define(operation: Any, instruction: str) -> None:
    """``operation`` of two vectors, or of a vector and a float32 that counts for every lane."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [arg for arg in args if isinstance(arg, Lanes)]
            if len(args) == 2 and vectors and not kws:
                cast = [arg if isinstance(arg, Lanes) else types.float32 for arg in args]
                if len(set(vectors)) == 1:
                    return signature(vectors[0], *cast)
            return None

    infer_global(operation)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = sig.return_type.count
        wide = [
            arg if isinstance(kind, Lanes) else _splat(builder, arg, count)
            for kind, arg in zip(sig.args, args, strict=True)
        ]
        return getattr(builder, instruction)(*wide, flags=_FLAGS)

    for pair in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(operation, *pair)(lower)


for _operation, _instruction in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.imul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_operation, _instruction)


def _address(context: Any, builder: Any, kind: Any, array: Any, place_kind: Any, place: Any) -> Any:
    """The address of array[place], as one of a float32."""
    struct = context.make_array(kind)(context, builder, array)
    indices = cgutils.unpack_tuple(builder, place, len(place_kind))
    indices = [
        context.cast(builder, i, t, types.intp)
        for i, t in zip(indices, place_kind.types, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, kind, struct, indices, wraparound=False)


@intrinsic(prefer_literal=True)
def load(typingctx: Any, array: Any, place: Any, count: Any) -> Any:
    """``count`` numbers from array[place] on along the last axis, whose stride has to be 1."""
    lanes = Lanes(count.literal_value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = _address(context, builder, sig.args[0], args[0], sig.args[1], args[1])
        vector = ir.VectorType(_FLOAT, lanes.count)
        return builder.load(builder.bitcast(at, vector.as_pointer()), align=4, typ=vector)

    return lanes(array, place, count), codegen


@intrinsic(prefer_literal=True)
def prefetch(typingctx: Any, array: Any, place: Any, count: Any) -> Any:
    """Ask for what `load` will want at that place; hardware sees no pattern in strided rows."""
    lines = -(-count.literal_value * 4 // 64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = _address(context, builder, sig.args[0], args[0], sig.args[1], args[1])
        byte = ir.IntType(8).as_pointer()
        function = builder.module.declare_intrinsic(
            "llvm.prefetch.p0", (), ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        )
        first = builder.bitcast(at, byte)
        for line in range(lines):
            to_read, soon_again, data = _INT(0), _INT(3), _INT(1)
            place = builder.gep(first, [ir.IntType(64)(64 * line)])
            builder.call(function, [place, to_read, soon_again, data])
        return context.get_dummy_value()

    return types.void(array, place, count), codegen


@intrinsic
def store(typingctx: Any, array: Any, place: Any, vector: Any) -> Any:
    """Write all lanes to array[place] and on along the last axis, whose stride has to be 1."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = _address(context, builder, sig.args[0], args[0], sig.args[1], args[1])
        builder.store(args[2], builder.bitcast(at, args[2].type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, place, vector), codegen


@intrinsic(prefer_literal=True)
def splat(typingctx: Any, number: Any, count: Any) -> Any:
    """One float32 in every lane."""
    lanes = Lanes(count.literal_value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[0], sig.args[0], types.float32)
        return _splat(builder, value, lanes.count)

    return lanes(number, count), codegen


@intrinsic
def total(typingctx: Any, vector: Any) -> Any:
    """The sum over the lanes."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.vector.reduce.fadd.v{kind.count}f32"
        function = builder.module.declare_intrinsic(
            name, (), ir.FunctionType(_FLOAT, [_FLOAT, kind])
        )
        return builder.call(function, [ir.Constant(_FLOAT, -0.0), args[0]], fastmath=_FLAGS)

    return types.float32(vector), codegen


@intrinsic
def at_least(typingctx: Any, vector: Any, bound: Any) -> Any:
    """max(vector, bound) with a float32 ``bound``; NaN stays NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bound = _splat(builder, args[1], sig.args[0].count)
        # Unordered: true of NaN, which therefore is what is selected.
        return builder.select(builder.fcmp_unordered(">", args[0], bound), args[0], bound)

    return vector(vector, types.float32), codegen


@intrinsic
def positive(typingctx: Any, x: Any, where: Any, elsewhere: Any) -> Any:
    """The float32 ``where`` in the lanes in which x > 0, and the vector ``elsewhere`` in others."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, where, elsewhere = args
        zero = ir.Constant(x.type, [0.0] * x.type.count)
        above = builder.fcmp_ordered(">", x, zero)
        return builder.select(above, _splat(builder, where, x.type.count), elsewhere)

    return x(x, types.float32, elsewhere), codegen


@intrinsic
def magnitude(typingctx: Any, vector: Any) -> Any:
    """|vector|."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        function = builder.module.declare_intrinsic(
            f"llvm.fabs.v{kind.count}f32", (), ir.FunctionType(kind, [kind])
        )
        return builder.call(function, args)

    return vector(vector), codegen


@intrinsic
def split_exponent(typingctx: Any, x: Any) -> Any:
    """x as (f, 2^k) with x = k + f, k whole and |f| <= 1/2, for x in [-126, 127].

    Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        [x] = args
        integers = ir.VectorType(_INT, x.type.count)

        def number(value: int) -> Any:
            return ir.Constant(integers, [value] * integers.count)

        magic = ir.Constant(x.type, [12582912.0] * x.type.count)
        # No flags: "reassoc" would take this for x.
        shifted = builder.fadd(x, magic)
        f = builder.fsub(x, builder.fsub(shifted, magic))
        k = builder.shl(builder.bitcast(shifted, integers), number(23))
        scale = builder.bitcast(builder.add(k, number(127 << 23)), x.type)
        return context.make_tuple(builder, sig.return_type, (f, scale))

    return types.UniTuple(x, 2)(x), codegen
