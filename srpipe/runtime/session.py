"""Running a generator on ONNX Runtime, on the CPU in float32."""

from collections.abc import Callable

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from srpipe.core import environment
from srpipe.imaging.arrays import FloatImage
from srpipe.models.running import guarded, require_finite
from srpipe.models.weights import Weights
from srpipe.runtime.graph import INPUT, OUTPUT, model_bytes

# Errors come as exceptions, and need not be printed too.
_FATAL = 4


# float32 `(h, w)` in [0, 1] to float32 `(h*scale, w*scale)` in [0, 1].
Session = Callable[[FloatImage], FloatImage]


def session(weights: Weights) -> Session:
    """Return a function that super-resolves a grey image; several threads may call it at once.

    It takes float32 `(h, w)` in [0, 1] and gives float32 `(h*scale, w*scale)` in [0, 1]; colour
    generators get repeated grey, and the mean of their channels is taken. It raises
    NotEnoughMemoryError, and CheckpointError if its output is not finite.

    Raises:
        CheckpointError: the weights are not those of a generator of their architecture.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = environment.threads()
    # Threads that wait for work take a CPU from other processes otherwise.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    engine = onnxruntime.InferenceSession(
        model_bytes(weights), options, providers=["CPUExecutionProvider"]
    )
    channels = int(weights.hyperparameters["channels"])

    def run(lr: FloatImage) -> FloatImage:
        image = np.ascontiguousarray(lr, np.float32)
        given = np.broadcast_to(image, (1, channels, *image.shape))
        with guarded(lr.shape, weights.scale, "cpu"):
            try:
                (sr,) = engine.run([OUTPUT], {INPUT: given})
            except (Fail, RuntimeException) as error:
                raise RuntimeError(str(error)) from error  # as of torch, for `memory`
        made: FloatImage = sr[0].mean(axis=0) if channels > 1 else sr[0, 0]
        require_finite(bool(np.isfinite(made).all()))
        return made

    return run
