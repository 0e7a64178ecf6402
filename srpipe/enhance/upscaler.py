"""The library's class: images of any usual kind in, the same kind out."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from srpipe.core.errors import ImageError
from srpipe.enhance.engine import Precision
from srpipe.enhance.tiles import DEFAULT_TILE, in_tiles
from srpipe.enhance.upscale import Method, method, require_size, upscale_values
from srpipe.formats.profile import of_grey
from srpipe.formats.raster import Values

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_DTYPES = "uint8, uint16, or float32 or float64 in [0, 1]"


class Upscaler:
    """Super-resolves images with weights that are loaded once. Several threads may share it.

    Not for diagnosis: a network can blur or invent detail.

    >>> import numpy as np
    >>> from srpipe import Upscaler
    >>> upscaler = Upscaler(device="cpu")
    >>> upscaler.scale
    4
    >>> lr = np.tile(np.arange(60, 190, 5, dtype=np.uint8), (20, 1))
    >>> sr = upscaler(lr)
    >>> lr.shape, sr.shape, sr.dtype.name
    ((20, 26), (80, 104), 'uint8')

    Floats stay floats, in [0, 1], of the same precision, and a PIL image becomes one:

    >>> upscaler(lr.astype(np.float32) / 255).dtype.name
    'float32'
    >>> upscaler(lr / 255).dtype.name
    'float64'
    >>> from PIL import Image
    >>> upscaler(Image.fromarray(lr)).size
    (104, 80)

    Args:
        weights: a released model's name or a file; None: the default, `plain_sr_x4`.
        alpha: instead of weights, from 0 (fidelity, `plain_sr_x4`) to 1 (perception,
            `plain_sr_x4_adversarial`, which was trained on from it): a mixture of the two.
        consistent: make results downsample to their inputs within the rounding of 8 bits.
        tile: larger images are made in overlapping pieces of so many LR pixels a side, at least 16,
            with the same result. Memory grows with it.
        device: torch device name; None: SRPIPE_DEVICE, by default a GPU if there is one.
        precision: "fp32", or "bf16": faster on hardware with bf16 arithmetic, and off by a grey
            level here and there.

    Raises:
        CheckpointError: the weights cannot be loaded.
        SettingsError: there is no such device or precision, the tile is too small, or weights and
            alpha are given.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        alpha: float | None = None,
        consistent: bool = False,
        tile: int = DEFAULT_TILE,
        device: str | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self._method: Method = method(
            weights,
            alpha=alpha,
            consistent=consistent,
            tile=tile,
            device=device,
            precision=precision,
        )

    @property
    def scale(self) -> int:
        """How many times as large each way a result is."""
        return self._method.network.scale

    def __call__(self, image: T) -> T:
        """Super-resolve an image; the result is of the same kind.

        Args:
            image: 0 black; sides of at least 16:

                numpy array    `(h, w)`, uint8, uint16, or float32 or float64 in [0, 1]; the network
                               computes in float32 of either
                PIL image      of the mode L or I;16; its dpi are multiplied by the scale, and a
                               colour profile of grey is kept
                torch tensor   `(..., h, w)` of these types, on any device: each image by itself
                pydicom        a radiograph of one grey frame; the result is a derived image, as
                               `srpipe upscale` writes it

        Of uint16 and DICOM of more than 8 bits, the network is given the image's own range, as of
        files.

        Raises:
            ImageError: the image has another type or shape, is too small, or is not in [0, 1].
            CheckpointError: the output is not finite.
            NotEnoughMemoryError: memory does not suffice for a tile.
        """
        given: Any = image
        made: Any
        if isinstance(given, np.ndarray):
            made = self._array(given)
        elif isinstance(given, Image.Image):
            made = self._picture(given)
        elif _is(given, "torch", "Tensor"):
            made = self._tensor(given)
        elif _is(given, "pydicom", "Dataset"):
            made = self._dataset(given)
        else:
            raise ImageError(
                f"an image is {type(given).__name__}: give a numpy array, a PIL image, a torch "
                "tensor or a pydicom dataset"
            )
        result: T = made
        return result

    def _array(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if image.ndim != 2 or image.dtype.name not in ("uint8", "uint16", "float32", "float64"):
            raise ImageError(
                f"an image is {image.dtype} of shape {image.shape}: give (h, w) of {_DTYPES}, "
                "0 black"
            )
        if image.dtype.kind == "f":
            return self._floats(image)
        bits = 8 * image.dtype.itemsize
        return upscale_values(Values(image, 0, 2**bits - 1, bits, ()), self._method)

    def _floats(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        require_size(image)
        if not (image.min() >= 0 and image.max() <= 1):
            raise ImageError(
                f"values are from {image.min()} to {image.max()}: floats must be in [0, 1], black "
                "to white"
            )
        network = self._method.network
        made = np.empty([side * network.scale for side in image.shape], image.dtype)
        lr = image.astype(np.float32, copy=False)
        for piece, sr in in_tiles(network.run, lr, network.scale, self._method.tile, network.reach):
            made[piece.place(network.scale)] = sr
        return made

    def _tensor(self, image: "torch.Tensor") -> "torch.Tensor":
        import torch

        array = image.detach().cpu().numpy()
        if array.ndim < 2 or 0 in array.shape:
            raise ImageError(f"a tensor is of shape {array.shape}: give (..., h, w)")
        each = array.reshape(-1, *array.shape[-2:])
        made = np.stack([self._array(one) for one in each])
        return torch.from_numpy(made.reshape(*array.shape[:-2], *made.shape[-2:])).to(image.device)

    def _picture(self, image: Image.Image) -> Image.Image:
        if image.mode not in ("L", "I;16"):
            raise ImageError(
                f"a PIL image is of the mode {image.mode}: give L or I;16, grey "
                '(image.convert("L"))'
            )
        made = Image.fromarray(self._array(np.asarray(image)))
        if "dpi" in image.info:
            made.info["dpi"] = tuple(each * self.scale for each in image.info["dpi"])
        if profile := of_grey(image.info.get("icc_profile")):
            made.info["icc_profile"] = profile
        return made

    def _dataset(self, dataset: Any) -> Any:
        from pydicom import dcmread

        from srpipe.enhance import dicom_derived
        from srpipe.enhance.upscale import origin_of
        from srpipe.formats import dicom

        buffer = io.BytesIO()
        try:
            dataset.save_as(buffer, enforce_file_format=True)
        except dicom.FAULTS as error:
            raise ImageError(
                f"the dataset cannot be written as a file: {dicom.first_line(error)}. Give "
                "one that was read from a file, or has its file_meta"
            ) from error
        radiograph = dicom.read(buffer.getvalue(), "the dataset")
        sr = upscale_values(radiograph.values, self._method)
        origin = origin_of(buffer.getvalue(), self._method)
        return dcmread(io.BytesIO(dicom_derived.encode(radiograph, sr, origin)))


def _is(value: Any, package: str, kind: str) -> bool:
    """Say whether a value is of a class of a package, which need not be installed."""
    return package in sys.modules and isinstance(value, getattr(sys.modules[package], kind))
