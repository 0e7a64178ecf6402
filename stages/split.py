"""Stage split: which images train, validate and test, in `data/split.csv`."""

from srpipe import console, paths
from srpipe.files import write_csv
from srpipe.packed import read_manifest
from srpipe.settings import load_params
from srpipe.splits import SUBSETS, split_by_patient


@console.entry_point
def main() -> None:
    """Split the packed images by patient."""
    params = load_params()
    split = split_by_patient(read_manifest(paths.PACKED), params.split)
    write_csv(paths.SPLIT, split)
    for name in SUBSETS:
        part = split[split["subset"] == name]
        console.say(f"{name}: {len(part)} images of {part['patient'].nunique()} patients")


if __name__ == "__main__":
    main()
