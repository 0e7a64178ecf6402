"""Finding a generator in the file of any trainer, by the names and shapes of its weights.

Trainers wrap a state dict in many ways: `module.` before each name (DDP), `_orig_mod.`
(torch.compile), the whole under `params_ema` (BasicSR), `state_dict`, `model` or `generator`, with
an optimizer's state beside it. Nested mappings are flattened to dotted names here, so that all of
these are one thing: a prefix before the names that a generator has.

The weights do not say whether a bicubic skip belongs to them: a `swift_srgan` or `srgan` is read as
published, without.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from srpipe.core import console

# Kernels that each generator has: no other network of a checkpoint has all of them.
_KERNELS = {
    "plain_sr": ("head.weight", "tail.weight"),
    "swift_srgan": (
        "initial.cnn.depthwise.weight",
        "initial.cnn.pointwise.weight",
        "final_conv.depthwise.weight",
    ),
    "srgan": ("initial.cnn.weight", "final_conv.weight"),
}
_EMA = re.compile(r"(?:^|[._])ema[._]", re.IGNORECASE)
# Names shown in a message.
_SHOWN = 4


class Found(NamedTuple):
    """A generator's architecture, the arguments of its constructor, and its weights by name."""

    architecture: str
    arguments: dict[str, Any]
    state: dict[str, Tensor]


def find_generator(content: Mapping[str, Any]) -> Found:
    """Return the generator in a file that has no record of ours.

    Where a file holds an EMA of the weights beside the weights (`params_ema` and `params`), the EMA
    is taken, with a warning.

    Args:
        content: tensors and anything else, in mappings nested at will.

    Raises:
        ValueError: there is none, or several of equal rank.
    """
    leaves = dict(_flattened(content))
    tensors = {name: value for name, value in leaves.items() if isinstance(value, Tensor)}
    kernels = [name for name, value in tensors.items() if value.ndim == 4]
    found = {
        prefix: architecture
        for architecture, (first, *others) in _KERNELS.items()
        for prefix in (name.removesuffix(first) for name in kernels if name.endswith(first))
        if (not prefix or prefix.endswith(".")) and all(prefix + end in kernels for end in others)
    }
    if not found:
        wanted = (f"{name} has {' and '.join(ends)}" for name, ends in _KERNELS.items())
        raise ValueError(
            f"its names are {some(kernels or list(tensors or leaves))}. Give weights of a known "
            f"generator, whose names may have any prefix: {'; '.join(wanted)}"
        )
    averaged = [prefix for prefix in found if _EMA.search(prefix)]
    chosen = averaged if averaged else list(found)
    if len(chosen) > 1:
        raise ValueError(
            f"it holds {len(chosen)} generators, under {some(chosen)}: save the one that is meant "
            "alone, as torch.save(network.state_dict(), FILE) does"
        )
    prefix = chosen[0]
    if len(found) > 1:
        console.warn(f"of the weights under {some(list(found))}, {prefix} (an EMA) is used")
    state = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    return Found(found[prefix], _arguments(found[prefix], state), state)


def some(names: list[str]) -> str:
    """Return the first few names for a message: "'a', 'b' and 9 more"."""
    rest = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")


def _flattened(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _arguments(architecture: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the constructor's arguments, by shapes."""
    if architecture == "plain_sr":
        return {
            "channels": 1,
            "features": state["head.weight"].shape[0],
            "blocks": _length(state, "body"),
            "scale": math.isqrt(state["tail.weight"].shape[0]),
            "bicubic_skip": True,
        }
    # The layout is (out, in, height, width), and a depthwise kernel has one "in".
    first = state["initial.cnn.weight" if architecture == "srgan" else _KERNELS[architecture][1]]
    return {
        "channels": first.shape[1],
        "features": first.shape[0],
        "blocks": _length(state, "residual"),
        "scale": 2 ** _length(state, "upsampler"),
        "bicubic_skip": False,
    }


def _length(state: Mapping[str, Tensor], name: str) -> int:
    return len({key.split(".")[1] for key in state if key.startswith(f"{name}.")})
