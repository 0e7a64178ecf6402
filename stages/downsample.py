"""Stage downsample: HR and LR pairs of all images, packed in `data/packed`."""

import functools

from srpipe import console, paths
from srpipe.packed import write_packed
from srpipe.pairs import make_pair
from srpipe.settings import load_params
from srpipe.sources.manifest import open_source


@console.entry_point
def main() -> None:
    """Decode every image once, make its LR image, and pack both."""
    params = load_params()
    source = open_source(paths.raw(params.data.name))
    make = functools.partial(make_pair, source, params.downsample)
    pairs = console.parallel(make, source.entries, what="downsample")
    manifest = write_packed(paths.PACKED, pairs, params.downsample.scale)
    pixels = int((manifest["height"] * manifest["width"]).sum())
    console.say(
        f"{len(manifest)} pairs at {params.downsample.scale}x, {pixels / 1e6:.0f} HR megapixels, "
        f"in {paths.PACKED}"
    )


if __name__ == "__main__":
    main()
