"""Stage downsample: HR and LR pairs of all images, packed in `data/packed`, and the data report."""

import functools

from srpipe.core import console, paths
from srpipe.core.files import write_csv, write_json
from srpipe.core.parallel import parallel
from srpipe.data import likeness, report, report_picture
from srpipe.data.packed import open_packed, write_packed
from srpipe.data.pairs import Notes, tried_pair
from srpipe.data.sources.manifest import open_source
from srpipe.settings.base import load_section
from srpipe.settings.data import Data
from srpipe.settings.downsample import Downsample


@console.entry_point
def main() -> None:
    """Decode every image once, make its LR image, pack both, and report on all."""
    data, settings = load_section("data", Data), load_section("downsample", Downsample)
    source = open_source(paths.raw(data.name))
    source.facts()  # checked now, not after the work
    notes: dict[str, Notes] = {}
    excluded: dict[str, str] = {}
    made = parallel(
        functools.partial(tried_pair, source, settings), source.entries, what="downsample"
    )
    pairs = report.usable(
        source.entries, made, notes, excluded, exclude=settings.damaged == "exclude"
    )
    manifest = write_packed(
        paths.PACKED,
        pairs,
        settings.scale,
        likeness.describe,
        settings.acquisition.model_dump(exclude_defaults=True),
    )
    table = report.image_table(source, manifest, notes, excluded)
    counts = report.counts(table, source.left_out)
    write_csv(paths.IMAGES, report.for_people(table))
    write_json(paths.DOWNSAMPLE_JSON, counts)
    report_picture.draw(paths.DOWNSAMPLE_PLOT, table, open_packed(paths.PACKED))
    report.tell(counts)
    pixels = int((manifest["height"] * manifest["width"]).sum())
    console.say(
        f"{len(manifest)} pairs at {settings.scale}x, {pixels / 1e6:.0f} HR megapixels, "
        f"in {paths.PACKED}; report in {paths.DOWNSAMPLE_JSON}"
    )


if __name__ == "__main__":
    main()
