"""Generators as ONNX graphs: what `models` computes with torch, in ONNX's operators.

Height and width are dynamic. The graph is built from the arrays of a weights file, so that any
generator and any mixture of two can run, not only those for which a graph was once exported.
"""

import functools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import srpipe
from srpipe.core.errors import CheckpointError
from srpipe.imaging.resample import keys
from srpipe.models.form import SCALES, SKIP_GAIN, SKIP_RADIUS
from srpipe.models.weights import Weights
from srpipe.runtime import messages
from srpipe.runtime.messages import MESSAGES

# Operators as of onnx 1.12 (2022), which any engine in use has. IR version 8 is that release's.
OPSET, IR_VERSION = 17, 8
INPUT, OUTPUT = "lr", "sr"
# Torch's default for BatchNorm.
_EPSILON = 1e-5

FloatArray = npt.NDArray[np.float32]


class _Graph:
    """A graph that grows: values are known by their names, and each node makes one."""

    def __init__(self, weights: Weights) -> None:
        self.message = MESSAGES["GraphProto"](name=weights.architecture)
        self._arrays = dict(weights.arrays)
        self._unused = set(weights.arrays)

    def array(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        """Return the weights of a name.

        Raises:
            CheckpointError: there are none, or of another shape.
        """
        if name not in self._arrays or self._arrays[name].shape != shape:
            found = self._arrays[name].shape if name in self._arrays else "missing"
            raise CheckpointError(f"the weights {name} are {found}, must be {shape}")
        self._unused.discard(name)
        return np.asarray(self._arrays[name], np.float32)

    def leave_out(self, name: str) -> None:
        """Say that weights have no part in the result."""
        self._unused.discard(name)

    def require_all_used(self) -> None:
        """Refuse weights that the architecture does not have.

        Raises:
            CheckpointError: there are some.
        """
        if self._unused:
            raise CheckpointError(f"it has {', '.join(sorted(self._unused)[:4])} besides")

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant, float32 or int64."""
        name = f"c{len(self.message.initializer)}"
        kind = messages.INT64 if value.dtype == np.int64 else messages.FLOAT
        data = np.ascontiguousarray(value, np.int64 if kind == messages.INT64 else np.float32)
        self.message.initializer.add(
            name=name, dims=value.shape, data_type=kind, raw_data=data.tobytes()
        )
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; its output's name is returned."""
        output = output or f"v{len(self.message.node)}"
        node = self.message.node.add(op_type=operator, input=inputs, output=[output])
        for name, value in attributes.items():
            attribute = node.attribute.add(name=name)
            if isinstance(value, float):
                attribute.type, attribute.f = messages.ATTRIBUTE_FLOAT, value
            elif isinstance(value, int):
                attribute.type, attribute.i = messages.ATTRIBUTE_INT, value
            elif isinstance(value, str):
                attribute.type, attribute.s = messages.ATTRIBUTE_STRING, value.encode()
            else:
                attribute.type = messages.ATTRIBUTE_INTS
                attribute.ints.extend(value)
        return output

    def convolution(
        self, x: str, weight: FloatArray, bias: FloatArray | None, groups: int = 1
    ) -> str:
        """Add a convolution, padded with zeros to keep the size."""
        pad = weight.shape[-1] // 2
        inputs = [x, self.constant(weight)] + ([] if bias is None else [self.constant(bias)])
        return self.node("Conv", *inputs, pads=[pad] * 4, group=groups)

    def scaled(self, x: str, factor: float) -> str:
        """Multiply by a number."""
        return self.node("Mul", x, self.constant(np.array(factor, np.float32)))

    def shuffled(self, x: str, scale: int) -> str:
        """Add torch's PixelShuffle."""
        return self.node("DepthToSpace", x, blocksize=scale, mode="CRD")

    def prelu(self, x: str, slopes: FloatArray) -> str:
        """Add a PReLU with a slope a channel."""
        return self.node("PRelu", x, self.constant(slopes[:, None, None]))

    def clipped(self, x: str) -> str:
        """Limit to [0, 1]: the result."""
        ends = [self.constant(np.array(end, np.float32)) for end in (0, 1)]
        return self.node("Clip", x, *ends, output=OUTPUT)


def model_bytes(weights: Weights) -> bytes:
    """Return a generator as an ONNX file: the same weights give the same bytes.

    Its input, `lr`, is float32 `(N, channels, H, W)` in [0, 1], H and W at least 3; its output,
    `sr`, float32 `(N, channels, scale*H, scale*W)` in [0, 1]. Its metadata hold the record of the
    weights as JSON, under `srpipe`.

    Raises:
        CheckpointError: the weights are not those of a generator of this architecture.
    """
    arguments = weights.hyperparameters
    channels, scale = int(arguments["channels"]), weights.scale
    if weights.architecture not in _BUILDERS or scale not in SCALES:
        raise CheckpointError(
            f"there is no graph for {weights.architecture!r} at {scale}x: known are "
            f"{', '.join(_BUILDERS)} at {', '.join(f'{each}x' for each in SCALES)}"
        )
    graph = _Graph(weights)
    _BUILDERS[weights.architecture](graph, arguments)
    graph.require_all_used()
    for values, name, sides in (
        (graph.message.input, INPUT, ("height", "width")),
        (graph.message.output, OUTPUT, (f"{scale}*height", f"{scale}*width")),
    ):
        kind = values.add(name=name).type.tensor_type
        kind.elem_type = messages.FLOAT
        kind.shape.dim.add(dim_param="batch")
        kind.shape.dim.add(dim_value=channels)
        for side in sides:
            kind.shape.dim.add(dim_param=side)
    model = MESSAGES["ModelProto"](
        ir_version=IR_VERSION,
        producer_name="srpipe",
        producer_version=srpipe.__version__,
        doc_string=f"{weights.architecture}: {scale}x super-resolution of chest radiographs. "
        "Not for diagnosis: a network can blur or invent detail.",
        graph=graph.message,
    )
    model.opset_import.add(domain="", version=OPSET)
    record = {
        "architecture": weights.architecture,
        "hyperparameters": weights.hyperparameters,
        "scale": scale,
        **weights.record,
    }
    model.metadata_props.add(key="srpipe", value=json.dumps(record, sort_keys=True))
    made: bytes = model.SerializeToString(deterministic=True)
    return made


def _bicubic(graph: _Graph, channels: int, scale: int) -> str:
    """Add `base.upscale_bicubic` of LR: a convolution for each of the scale^2 phases of SR pixels.

    ONNX Runtime's Resize gives the same, and takes a fifth of plain_sr's time for it. What lies
    outside has no weight: zeros are added, and the sum is divided by that of the weights.
    """
    centres = (np.arange(scale) + 0.5) / scale - 0.5
    axis = keys(np.arange(-2, 3) - centres[:, None])  # (scale, 5)
    kernel = np.einsum("ai,bj->abij", axis, axis).reshape(scale**2, 1, 5, 5).astype(np.float32)
    ones = graph.node("Add", graph.scaled(INPUT, 0.0), graph.constant(np.array(1, np.float32)))
    kernel = np.tile(kernel, (channels, 1, 1, 1))
    sums = (graph.convolution(each, kernel, None, channels) for each in (INPUT, ones))
    return graph.shuffled(graph.node("Div", *sums), scale)


def _local_detail(graph: _Graph) -> str:
    """Add `base.local_detail` of LR."""
    radius, size = SKIP_RADIUS, 2 * SKIP_RADIUS + 1
    pads = graph.constant(np.array([0, 0, radius, radius] * 2, np.int64))
    around = graph.node("Pad", INPUT, pads, mode="reflect")
    mean = graph.node("AveragePool", around, kernel_shape=[size, size])
    return graph.scaled(graph.node("Sub", INPUT, mean), SKIP_GAIN)


def _plain_sr(graph: _Graph, arguments: dict[str, Any]) -> None:
    """Add `plain_sr.PlainSR`."""
    features, scale = int(arguments["features"]), int(arguments["scale"])
    grey = graph.node("Sub", INPUT, graph.constant(np.array(0.5, np.float32)))
    x = graph.node("Concat", _local_detail(graph), grey, axis=1)
    layers = ["head", *(f"body.{block}" for block in range(int(arguments["blocks"])))]
    inside = 2
    for layer in layers:
        kernel = graph.array(f"{layer}.weight", (features, inside, 3, 3))
        x = graph.node(
            "Relu", graph.convolution(x, kernel, graph.array(f"{layer}.bias", (features,)))
        )
        inside = features
    kernel = graph.array("tail.weight", (scale**2, features, 3, 3))
    x = graph.convolution(x, kernel, graph.array("tail.bias", (scale**2,)))
    x = graph.scaled(graph.shuffled(x, scale), 1 / SKIP_GAIN)
    graph.clipped(graph.node("Add", _bicubic(graph, 1, scale), x))


class _Convolutions:
    """The two kinds of convolution of SRResNet, by the names of their weights."""

    def __init__(self, graph: _Graph, separable: bool) -> None:
        self.graph, self.separable = graph, separable

    def add(self, x: str, name: str, inside: int, out: int, size: int, *, bias: bool) -> str:
        """Add one: depthwise, then pointwise, or dense."""
        parts = [
            (f"{name}.depthwise", (inside, 1, size, size)),
            (f"{name}.pointwise", (out, inside, 1, 1)),
        ]
        for part, shape in parts if self.separable else [(name, (out, inside, size, size))]:
            kernel = self.graph.array(f"{part}.weight", shape)
            offset = self.graph.array(f"{part}.bias", shape[:1]) if bias else None
            groups = inside if part.endswith(".depthwise") else 1
            x = self.graph.convolution(x, kernel, offset, groups)
        return x

    def dense(self, name: str, inside: int, out: int, size: int) -> tuple[FloatArray, FloatArray]:
        """Return kernel and bias of the dense convolution that is equivalent."""
        if not self.separable:
            shape = (out, inside, size, size)
            return self.graph.array(f"{name}.weight", shape), self.graph.array(
                f"{name}.bias", (out,)
            )
        deep = self.graph.array(f"{name}.depthwise.weight", (inside, 1, size, size))
        point = self.graph.array(f"{name}.pointwise.weight", (out, inside, 1, 1))
        offset = self.graph.array(f"{name}.pointwise.bias", (out,))
        offset = offset + point[..., 0, 0] @ self.graph.array(f"{name}.depthwise.bias", (inside,))
        return point * deep.transpose(1, 0, 2, 3), offset


def _srresnet(graph: _Graph, arguments: dict[str, Any], *, separable: bool) -> None:
    """Add `srresnet.SRResNet`."""
    channels, features = int(arguments["channels"]), int(arguments["features"])
    scale, skip = int(arguments["scale"]), bool(arguments["bicubic_skip"])
    layers = _Convolutions(graph, separable)

    def normalised(x: str, name: str, activation: bool) -> str:
        x = layers.add(x, f"{name}.cnn", features, features, 3, bias=False)
        statistics = (
            f"{name}.bn.{each}" for each in ("weight", "bias", "running_mean", "running_var")
        )
        x = graph.node(
            "BatchNormalization",
            x,
            *(graph.constant(graph.array(each, (features,))) for each in statistics),
            epsilon=_EPSILON,
        )
        graph.leave_out(f"{name}.bn.num_batches_tracked")
        slopes = graph.array(f"{name}.act.weight", (features,))
        return graph.prelu(x, slopes) if activation else x

    x = layers.add(
        _local_detail(graph) if skip else INPUT, "initial.cnn", channels, features, 9, bias=True
    )
    first = x = graph.prelu(x, graph.array("initial.act.weight", (features,)))
    for block in range(int(arguments["blocks"])):
        inner = normalised(x, f"residual.{block}.block1", True)
        x = graph.node("Add", normalised(inner, f"residual.{block}.block2", False), x)
    x = graph.node("Add", normalised(x, "convblock", False), first)
    steps = int(math.log2(scale))
    for step in range(steps):
        x = layers.add(x, f"upsampler.{step}.conv", features, 4 * features, 3, bias=True)
        slopes = graph.array(f"upsampler.{step}.act.weight", (features,))
        if step < steps - 1:
            x = graph.prelu(graph.shuffled(x, 2), slopes)
        else:  # the rest at half resolution, as `srresnet.SRResNet._upsample` explains
            x = graph.prelu(x, slopes.repeat(4))
    kernel, bias = layers.dense("final_conv", features, channels, 9)
    x = graph.shuffled(graph.convolution(x, before_shuffle(kernel), bias.repeat(4)), 2)
    if skip:
        x = graph.node("Add", _bicubic(graph, channels, scale), graph.scaled(x, 1 / SKIP_GAIN))
    else:
        half = graph.scaled(graph.node("Tanh", x), 0.5)
        x = graph.node("Add", half, graph.constant(np.array(0.5, np.float32)))
    graph.clipped(x)


def before_shuffle(kernel: FloatArray) -> FloatArray:
    """Return `srresnet.before_shuffle` of a kernel `(out, in, 9, 9)`: `(4*out, 4*in, 5, 5)`."""
    phase, k = np.arange(2), np.arange(-2, 3)
    place = 2 * k[None, None, :] + phase[None, :, None] - phase[:, None, None] + 5  # (a, p, k)
    padded = np.pad(kernel, ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = padded[:, :, place][..., place]  # (out, in, a, p, k, b, q, l)
    out, inside = kernel.shape[:2]
    return taps.transpose(0, 2, 5, 1, 3, 6, 4, 7).reshape(4 * out, 4 * inside, 5, 5)


_BUILDERS: dict[str, Callable[[_Graph, dict[str, Any]], None]] = {
    "plain_sr": _plain_sr,
    "swift_srgan": functools.partial(_srresnet, separable=True),
    "srgan": functools.partial(_srresnet, separable=False),
}
