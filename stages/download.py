"""Stage download: the list of images, and if needed the images, in `data/raw/<name>`."""

from srpipe.core import console, paths
from srpipe.data.sources import folder, nih, phantom
from srpipe.data.sources.manifest import open_source
from srpipe.settings.params import load_params


@console.entry_point
def main() -> None:
    """Fetch the data set that `data.name` names."""
    params = load_params()
    name = params.data.name
    raw_dir = paths.raw(name)
    left_out = ""
    match name:
        case "phantom":
            phantom.fetch(params.datasets.phantom, raw_dir)
        case "folder":
            listing = folder.fetch(
                params.datasets.folder,
                raw_dir,
                scale=params.downsample.scale,
                sixteen_bit=params.downsample.sixteen_bit,
                use_lists=params.split.use_lists,
                exclude=params.downsample.damaged == "exclude",
            )
            left_out = f"; {listing.summary()}" if listing.left_out else ""
        case "nih":
            nih.fetch(params.datasets.nih, raw_dir)
        case "nih_sample":
            nih.fetch(params.datasets.nih_sample, raw_dir, nih.SAMPLE)
    entries = open_source(raw_dir).entries
    patients = {entry.patient for entry in entries}
    console.say(
        f"{name}: {len(entries)} images of {len(patients)} patients, in {raw_dir}{left_out}"
    )


if __name__ == "__main__":
    main()
