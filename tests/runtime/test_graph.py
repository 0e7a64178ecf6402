"""The graph computes what torch does, and is a file that ONNX's own tools accept."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from srpipe.core.errors import CheckpointError
from srpipe.models.inference import unrounded
from srpipe.models.released import released_names, weights_file
from srpipe.models.srresnet import before_shuffle as with_torch
from srpipe.models.weights import Weights, read_weights
from srpipe.runtime.graph import INPUT, OUTPUT, before_shuffle, model_bytes
from srpipe.runtime.session import session
from tests.models.made import loaded

SHAPES = [(16, 16), (17, 23), (40, 31)]
# Of 1: what the order of float32 sums makes of networks with random weights.
ROUNDING = 2e-5


def released(name: str) -> Weights:
    """Return a released model's weights."""
    weights = read_weights(weights_file(name))
    assert weights is not None
    return weights


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("plain_sr", {"bicubic_skip": True, "features": 6, "blocks": 3}),
        ("swift_srgan", {}),
        ("swift_srgan", {"channels": 3, "bicubic_skip": True}),
        ("srgan", {"bicubic_skip": True}),
        ("srgan", {"channels": 3}),
    ],
)
def test_the_graph_computes_what_torch_does(
    architecture: str, arguments: dict[str, Any], scale: int
) -> None:
    """Every architecture, scale and option, on sizes that are no multiples, borders included."""
    given = loaded(0, architecture, **arguments, scale=scale)
    run = session(given.weights)
    for index, shape in enumerate(SHAPES):
        lr = np.random.default_rng(index).random(shape, np.float32)
        sr = run(lr)
        assert (sr.dtype, sr.shape) == (np.float32, (shape[0] * scale, shape[1] * scale))
        assert sr.std() > 0.01
        assert np.abs(sr - unrounded(given.model, lr)).max() < ROUNDING


@pytest.mark.parametrize("name", released_names())
def test_released_models_give_the_same_images(name: str) -> None:
    """To a hundredth of a grey level."""
    from srpipe.models.checkpoint import built

    weights = released(name)
    lr = np.random.default_rng(0).random((48, 40), np.float32)
    off = session(weights)(lr) - unrounded(built(weights).model, lr)
    assert np.abs(off).max() < 4e-5


@pytest.mark.parametrize("name", ["plain_sr_x4", "swift_srgan_x4"])
def test_onnx_accepts_the_file_and_reads_what_it_is(name: str) -> None:
    """Its checker infers every shape; height and width are free; the record is in the metadata."""
    weights = released(name)
    data = model_bytes(weights)
    assert model_bytes(released(name)) == data
    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    (lr,), (sr,) = model.graph.input, model.graph.output
    assert (lr.name, sr.name) == (INPUT, OUTPUT)
    free = [dim.dim_param for dim in lr.type.tensor_type.shape.dim]
    assert free == ["batch", "", "height", "width"]
    assert [each.version for each in model.opset_import] == [17]
    (entry,) = model.metadata_props
    record = json.loads(entry.value)
    assert entry.key == "srpipe"
    assert (record["architecture"], record["scale"]) == (weights.architecture, 4)
    assert record["training"] == weights.record["training"]


@pytest.mark.parametrize("size", [3, 8])
def test_a_batch_is_each_image_by_itself(size: int) -> None:
    """The smallest image that can be padded by reflection, too."""
    import onnxruntime

    weights = loaded(0, "plain_sr", bicubic_skip=True).weights
    engine = onnxruntime.InferenceSession(model_bytes(weights))
    lr = np.random.default_rng(0).random((2, 1, size, size), np.float32)
    (both,) = engine.run(None, {INPUT: lr})
    for index in range(2):
        (one,) = engine.run(None, {INPUT: lr[index : index + 1]})
        assert np.abs(both[index] - one[0]).max() < ROUNDING


def test_the_convolution_before_the_shuffle_is_torchs() -> None:
    """Every tap at its place."""
    kernel = np.random.default_rng(0).random((2, 3, 9, 9), np.float32)
    wanted = with_torch(torch.from_numpy(kernel)).numpy()
    assert np.array_equal(before_shuffle(kernel), wanted)


def changed(**arrays: Any) -> Weights:
    """Return a plain_sr with other arrays; None takes one away."""
    weights = loaded(0, "plain_sr", bicubic_skip=True).weights
    names = {name.replace("_", "."): value for name, value in arrays.items()}
    kept = {n: v for n, v in {**weights.arrays, **names}.items() if v is not None}
    return replace(weights, arrays=kept)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (changed(tail_bias=None), r"weights tail\.bias are missing, must be \(4,\)"),
        (changed(tail_bias=np.zeros(5)), r"weights tail\.bias are \(5,\), must be \(4,\)"),
        (changed(body_7_bias=np.zeros(8)), r"it has body\.7\.bias besides"),
        (replace(changed(), architecture="esrgan"), "no graph for 'esrgan' at 2x: known are"),
        (
            replace(changed(), hyperparameters={**changed().hyperparameters, "scale": 3}),
            "no graph for 'plain_sr' at 3x",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: Weights, told: str) -> None:
    """None is left out in silence."""
    with pytest.raises(CheckpointError, match=told):
        model_bytes(weights)
