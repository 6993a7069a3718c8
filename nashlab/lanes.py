"""Many runs of one small computation in parallel, with the runs along the *last* axis.

``jax.vmap`` puts the batch first, so on vectors of ten numbers a CPU works through rows of ten.  With the runs last,
every vector instruction is full, and a product with a small matrix is a few multiply-adds per entry.  :func:`lanes`
traces the single-run function once and evaluates its operations with one more trailing axis; operations without a rule
are left to ``jax.vmap``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["UNROLLED", "lanes"]

UNROLLED = 32  # columns of a matrix up to which a product is written out; beyond, vmap's matrix product is better

# the result's entry is a function of the operands' entries at the same place
ELEMENTWISE = frozenset(
    (
        *("add", "add_any", "sub", "mul", "div", "neg", "pow", "integer_pow", "square", "sqrt", "rsqrt", "abs", "sign"),
        *("exp", "expm1", "log", "log1p", "logistic", "tanh", "max", "min", "select_n", "is_finite", "stop_gradient"),
        *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "convert_element_type", "copy"),
    )
)
REDUCTIONS = frozenset(("reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "argmax", "argmin"))
CALLS = frozenset(("jit", "pjit", "closed_call", "custom_jvp_call"))


def lanes(function: Callable[..., Any]) -> Callable[..., Any]:
    """``jax.vmap(function, in_axes=-1, out_axes=-1)``, laid out for vector units; call it under ``jax.jit``.

    >>> import jax, numpy as np
    >>> many = jax.jit(lanes(lambda x: x - x.sum()))
    >>> many(np.array([[1.0, 10.0], [2.0, 20.0]])).tolist()
    [[-2.0, -20.0], [-1.0, -10.0]]
    """

    def many(*arguments: Any) -> Any:
        import jax
        import jax.numpy as jnp

        leaves, tree = jax.tree.flatten(arguments)
        leaves = [jnp.asarray(x) for x in leaves]
        single = [jax.ShapeDtypeStruct(x.shape[:-1], x.dtype) for x in leaves]
        traced, shape = jax.make_jaxpr(function, return_shape=True)(*jax.tree.unflatten(tree, single))
        results = _evaluate(traced, [(x, True) for x in leaves])
        runs = leaves[0].shape[-1]
        spread = [
            x if lane else jnp.broadcast_to(jnp.asarray(x)[..., None], (*jnp.shape(x), runs)) for x, lane in results
        ]
        return jax.tree.unflatten(jax.tree.structure(shape), spread)

    return many


Value = tuple[Any, bool]  # an array, and whether its last axis holds the runs


def _evaluate(traced: Any, arguments: list[Value]) -> list[Value]:
    from jax.extend.core import Literal

    graph = traced.jaxpr
    known: dict[Any, Value] = dict(zip(graph.constvars, ((c, False) for c in traced.consts), strict=True))
    known.update(zip(graph.invars, arguments, strict=True))

    def read(variable: Any) -> Value:
        return (variable.val, False) if isinstance(variable, Literal) else known[variable]

    for equation in graph.eqns:
        known.update(zip(equation.outvars, _apply(equation, [read(v) for v in equation.invars]), strict=True))
    return [read(v) for v in graph.outvars]


def _apply(equation: Any, operands: list[Value]) -> list[Value]:
    """One operation on values that may have the axis of runs."""
    import jax
    import jax.numpy as jnp

    name, parameters, bind = equation.primitive.name, equation.params, equation.primitive.bind
    if name in CALLS:
        return _evaluate(parameters.get("jaxpr") or parameters["call_jaxpr"], operands)
    if not any(lane for _, lane in operands):
        results = bind(*(x for x, _ in operands), **parameters)
        return [(x, False) for x in (results if equation.primitive.multiple_results else [results])]
    first = operands[0][0]
    shape = equation.outvars[0].aval.shape
    if name in ELEMENTWISE:
        runs = next(x.shape[-1] for x, lane in operands if lane)
        return [(bind(*(_fit(x, lane, shape, runs) for x, lane in operands), **parameters), True)]
    if name in REDUCTIONS:
        return [(bind(first, **parameters), True)]
    if name == "broadcast_in_dim":
        places = (*parameters["broadcast_dimensions"], len(shape))
        return [(jax.lax.broadcast_in_dim(first, (*shape, first.shape[-1]), places), True)]
    if name in ("reshape", "squeeze", "expand_dims"):
        return [(jnp.reshape(first, (*shape, first.shape[-1])), True)]
    if name == "dot_general" and (product := _product(parameters["dimension_numbers"], operands)) is not None:
        return [(product, True)]
    axes = [-1 if lane else None for _, lane in operands]
    results = jax.vmap(lambda *x: bind(*x, **parameters), in_axes=axes, out_axes=-1)(*(x for x, _ in operands))
    return [(x, True) for x in (results if equation.primitive.multiple_results else [results])]


def _fit(x: Any, lane: bool, shape: tuple[int, ...], runs: int) -> Any:
    """The operand of an elementwise operation, broadcast to the result's shape with the runs last."""
    import jax.numpy as jnp

    x = jnp.asarray(x)
    x = x if lane else x[..., None]
    if x.ndim <= len(shape):  # a scalar with an array
        x = x.reshape((1,) * len(shape) + x.shape[-1:])
    return jnp.broadcast_to(x, (*shape, runs))


def _product(dimensions: Any, operands: list[Value]) -> Any | None:
    """A matrix times a vector (or few columns), written out over the summed index; None for any other product."""
    import jax

    ((left_axes, right_axes), batch) = dimensions
    (left, left_lane), (right, right_lane) = operands
    left = left if left_lane else left[..., None]
    right = right if right_lane else right[..., None]
    if any(batch) or len(left_axes) != 1 or left.ndim != 3 or left.shape[left_axes[0]] > UNROLLED:
        return None
    columns = range(left.shape[left_axes[0]])
    terms = (
        (
            jax.lax.index_in_dim(left, j, left_axes[0], keepdims=False),
            jax.lax.index_in_dim(right, j, right_axes[0], keepdims=False),
        )
        for j in columns
    )
    # result [rows of left, the other axes of right, runs]
    return sum(a.reshape((a.shape[0],) + (1,) * (b.ndim - 1) + a.shape[-1:]) * b[None] for a, b in terms)
