"""Stage downsample: HR and LR pairs of all images, packed in `data/packed`, and the data report."""

import functools

from srpipe.core import console, paths
from srpipe.core.files import sha256, write_csv, write_json
from srpipe.core.parallel import parallel
from srpipe.data import preparation, report, report_picture
from srpipe.data.packed import open_packed
from srpipe.data.pairs import tried_pair
from srpipe.data.sources.manifest import MANIFEST, open_source
from srpipe.settings.base import load_section
from srpipe.settings.data import Data
from srpipe.settings.downsample import Downsample


@console.entry_point
def main() -> None:
    """Decode every image once, make its LR image, pack both, and report on all.

    Killed at any moment, it goes on where it was with the same command.
    """
    data, settings = load_section("data", Data), load_section("downsample", Downsample)
    source = open_source(paths.raw(data.name))
    source.facts()  # checked now, not after the work
    identity = {
        "settings": settings.model_dump(exclude={"damaged"}),
        "images": sha256(source.folder / MANIFEST),
    }
    make = functools.partial(
        parallel, functools.partial(tried_pair, source, settings), what="downsample"
    )
    with preparation.opened(paths.PACKED, identity, len(source.entries)) as begun:
        notes, excluded = report.sorted_out(
            source.entries,
            begun.results(source.entries, make),
            exclude=settings.damaged == "exclude",
        )
        manifest = begun.writer.finish(
            settings.scale, settings.acquisition.model_dump(exclude_defaults=True)
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
