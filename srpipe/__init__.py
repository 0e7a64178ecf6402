"""Super-resolution of chest radiographs.

from srpipe import Upscaler, upscale

sr = upscale(lr)  # uint8 (h, w) to uint8 (4h, 4w)
sr = Upscaler()(image)  # numpy, PIL, torch or pydicom to the same
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srpipe.enhance.upscale import upscale
    from srpipe.enhance.upscaler import Upscaler

__version__ = "0.9.0"
__all__ = ["Upscaler", "__version__", "upscale"]


def __getattr__(name: str) -> Any:
    # Loaded at first use: importing torch takes seconds, and asking for the version needs none of
    # it.
    if name == "upscale":
        from srpipe.enhance.upscale import upscale

        return upscale
    if name == "Upscaler":
        from srpipe.enhance.upscaler import Upscaler

        return Upscaler
    raise AttributeError(f"module 'srpipe' has no attribute {name!r}")
