"""Stage split: the training, validation and test images, in `data/split.csv`."""

from srpipe.core import console, paths
from srpipe.core.files import write_csv
from srpipe.data.packed import read_manifest
from srpipe.data.split_by_patient import lookalikes, split_by_patient, twins
from srpipe.data.split_file import SUBSETS
from srpipe.settings.base import load_section
from srpipe.settings.split import Split


@console.entry_point
def main() -> None:
    """Split the packed images by patient."""
    settings = load_section("split", Split)
    manifest = read_manifest(paths.PACKED, ("pixels", "look"))
    split = split_by_patient(manifest, settings)
    write_csv(paths.SPLIT, split)
    for name in SUBSETS:
        part = split[split["subset"] == name]
        console.say(f"{name}: {len(part)} images of {part['patient'].nunique()} patients")
    same = twins(manifest)
    if same:
        console.warn(
            f"{len(same)} image(s) are there under two patients, such as {same[0][0]} and "
            f"{same[0][1]}, on one side of the split: are the patient IDs right?"
        )
    near = lookalikes(manifest, split)
    if near:
        console.warn(
            f"{len(near)} pair(s) of images of two patients look the same and are on two sides, "
            f"such as {near[0][0]} and {near[0][1]}: are the patient IDs right?"
        )


if __name__ == "__main__":
    main()
