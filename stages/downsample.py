"""Stage downsample: HR and LR pairs of all images, packed in `data/packed`."""

import functools

from srpipe.core import console, paths
from srpipe.core.parallel import parallel
from srpipe.data import likeness
from srpipe.data.packed import write_packed
from srpipe.data.pairs import make_pair
from srpipe.data.sources.manifest import open_source
from srpipe.settings.base import load_section
from srpipe.settings.data import Data
from srpipe.settings.downsample import Downsample


@console.entry_point
def main() -> None:
    """Decode every image once, make its LR image, and pack both."""
    data, settings = load_section("data", Data), load_section("downsample", Downsample)
    source = open_source(paths.raw(data.name))
    make = functools.partial(make_pair, source, settings)
    pairs = parallel(make, source.entries, what="downsample")
    manifest = write_packed(
        paths.PACKED,
        pairs,
        settings.scale,
        likeness.describe,
        settings.acquisition.model_dump(exclude_defaults=True),
    )
    pixels = int((manifest["height"] * manifest["width"]).sum())
    console.say(
        f"{len(manifest)} pairs at {settings.scale}x, {pixels / 1e6:.0f} HR megapixels, "
        f"in {paths.PACKED}"
    )


if __name__ == "__main__":
    main()
