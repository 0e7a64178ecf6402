"""Stage split: which images train, validate and test, in `data/split.csv`."""

from srpipe.core import console, paths
from srpipe.core.files import write_csv
from srpipe.data.packed import read_manifest
from srpipe.data.splits import SUBSETS
from srpipe.data.splitting import split_by_patient
from srpipe.settings.base import load_section
from srpipe.settings.split import Split


@console.entry_point
def main() -> None:
    """Split the packed images by patient."""
    settings = load_section("split", Split)
    split = split_by_patient(read_manifest(paths.PACKED), settings)
    write_csv(paths.SPLIT, split)
    for name in SUBSETS:
        part = split[split["subset"] == name]
        console.say(f"{name}: {len(part)} images of {part['patient'].nunique()} patients")


if __name__ == "__main__":
    main()
