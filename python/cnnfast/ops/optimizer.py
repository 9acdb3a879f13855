"""Weight updates: the only ops that change variables by gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast.graph.values import Spec, Variable
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken


def _update_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    w = require_float("update", "w", unbroken("update", "w", specs[0]))
    for name, spec in zip(("dw", *["slot"] * (len(specs) - 4)), [specs[1], *specs[4:]], strict=True):
        if spec is not None and spec.shape != w.shape:
            raise ValueError(f"update: {name} expects the weight's shape {w.shape}, got {spec.shape}")
    return []


def _scale_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    for spec in specs:
        require_float("clip_scale", "dw", unbroken("clip_scale", "dw", spec))
    return [Spec(())]


SGD_UPDATE = Op("sgd_update", _update_infer, updates=(0, 4))
ADAM_UPDATE = Op("adam_update", _update_infer, updates=(0, 4, 5, 6))
RMSPROP_UPDATE = Op("rmsprop_update", _update_infer, updates=(0, 4, 5, 6))
CLIP_SCALE = Op("clip_scale", _scale_infer)


def update(
    op: Op,
    w: Variable,
    dw: Tensor,
    hyper: Variable,
    slots: Sequence[Variable | None] = (),
    *,
    grad_scale: Tensor | None = None,
    clip_value: float = 0.0,
    **attributes: Any,
) -> None:
    """Changes `w` and `slots` in place by one step of an optimizer.

    Args:
        op: SGD_UPDATE, ADAM_UPDATE or RMSPROP_UPDATE.
        w: the weight.
        dw: its gradient, of the same shape.
        hyper: the numbers that the kernel reads at each step.
        slots: the optimizer's own variables, of the same shape; None where one is not used.
        grad_scale: a scalar that dw is multiplied with, or None.
        clip_value: dw is clipped to [-clip_value, clip_value]; 0 means no clipping.
        **attributes: settings of the op.
    """
    apply(op, [w, dw, hyper, grad_scale, *slots], {"clip_value": float(clip_value), **attributes})


def clip_scale(gradients: Sequence[Tensor], norm: float) -> Tensor:
    """norm / max(norm, common Euclidean norm of the gradients), a scalar (Pascanu et al. 2013, section 3.2)."""
    return apply(CLIP_SCALE, list(gradients), {"norm": float(norm)})
