"""The user's own images, listed in place, not copied.

Every image is decoded once before anything is written, so that a damaged file is reported now and
not in the middle of a later stage. `names` resolves image names in lists and tables, `patients`
finds the patient IDs. If `train_val_list.txt` and `test_list.txt` are in the folder and are
followed, every image must be on one of them.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from srpipe.core import console
from srpipe.core.errors import DataError, ImageError
from srpipe.core.files import replacing_folder
from srpipe.core.parallel import parallel
from srpipe.core.paths import from_user
from srpipe.data.sources.manifest import (
    Entry,
    checksum,
    open_source,
    place_of,
    some,
    write_source,
)
from srpipe.data.sources.names import Names, read_names
from srpipe.data.sources.patients import many, patients_of, table_facts
from srpipe.formats.listing import Listing, list_images
from srpipe.formats.raster import SUFFIXES, SixteenBit, read_grey, read_size
from srpipe.imaging.resample import MIN_LR_SIDE
from srpipe.settings.datasets import Folder

TRAIN_VAL_LIST = "train_val_list.txt"
TEST_LIST = "test_list.txt"


def fetch(
    folder: Folder,
    raw_dir: Path,
    *,
    scale: int,
    sixteen_bit: SixteenBit,
    use_lists: bool,
    exclude: bool = False,
) -> Listing:
    """Check the images of the user's folder and list them in `raw_dir`.

    Args:
        folder: where the images are and where their patient IDs come from.
        raw_dir: receives `manifest.csv` and `source.json`; unchanged on an error.
        scale: HR side over LR side; an image needs sides of at least 16 * scale pixels.
        sixteen_bit: how 16-bit images become 8-bit; see `formats.raster`.
        use_lists: whether lists in the folder are followed; if not, they are not read.
        exclude: leave unusable images out, with a warning, and record them, instead of refusing.

    Returns:
        What is in the folder; `source.json` says what was left out, too.

    Raises:
        DataError: the folder is missing or holds no image, or an image is unusable or has no known
            patient; one message reports all such files.
        OutputError: the manifest cannot be written.
    """
    root = from_user(folder.path)
    listing = _listing(root)
    images = listing.images
    patients = patients_of(root, images, folder)
    facts = table_facts(root, images, folder)
    lists = lists_of(root, images) if use_lists else {}
    known = _known(raw_dir, root)
    checked, unusable = _check_all(root, images, known, MIN_LR_SIDE * scale, sixteen_bit)
    if unusable and not exclude:
        raise DataError(
            f"{many(list(unusable.values()), f'of {len(images)} image(s) cannot be used', root)}\n"
            "Nothing was changed. Mend them or move them away, then run the same command again; or "
            "set downsample.damaged: exclude, which leaves them out."
        )
    if unusable:
        console.warn(many(list(unusable.values()), f"of {len(images)} image(s) left out", root))
    entries = [
        Entry(image, patients[image], lists.get(image, ""), image, size, crc32)
        for image, (size, crc32) in checked.items()
    ]
    with replacing_folder(raw_dir) as temporary:
        write_source(
            temporary, "folder", place_of(root), entries, listing.counts(), facts, unusable
        )
    return listing


def _listing(root: Path) -> Listing:
    """Return the images below the folder as sorted paths with "/", and what else is there."""
    if not root.is_dir():
        found = "is a file" if root.exists() else "is not there"
        raise DataError(
            f"the folder of your images {found}: {root}. Give the folder in datasets.folder.path "
            "of params.yaml (relative to the repository, or absolute)."
        )
    listing = list_images(root)
    images = listing.images
    if not images:
        there = f"; it holds {listing.describe()}" if listing.left_out else ""
        raise DataError(
            f"no image in {root}: none of its files ends in {', '.join(SUFFIXES)}{there}. Put "
            "images there, or change datasets.folder.path."
        )
    listing.report(root)
    odd = [ascii(name) for name in images if not _is_text(name)]
    if odd:
        raise DataError(f"{many(odd, 'file name(s) are not UTF-8', root)}\nRename them.")
    return listing


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def lists_of(root: Path, images: Sequence[str]) -> dict[str, str]:
    """Return "train_val" or "test" of every image, by the lists in the folder; {} without lists.

    Raises:
        DataError: one list is missing, an image is on both or on neither.
    """
    there = [name for name in (TRAIN_VAL_LIST, TEST_LIST) if (root / name).is_file()]
    if not there:
        return {}
    if len(there) == 1:
        absent = TEST_LIST if there == [TRAIN_VAL_LIST] else TRAIN_VAL_LIST
        raise DataError(
            f"{root} has {there[0]} but no {absent}: give both (one may be empty), "
            "or set split.use_lists: false to split without them."
        )
    names, absent_names = Names(images), []
    lists: dict[str, str] = {}
    for file, kind in ((TRAIN_VAL_LIST, "train_val"), (TEST_LIST, "test")):
        for name in read_names(root / file, file):
            meant = names.find(name)
            if len(meant) > 1:
                raise DataError(
                    f"{name!r} on {file} of {root} could be {' or '.join(meant[:3])}: write paths "
                    "below the folder there."
                )
            if not meant:
                absent_names.append(name)
            elif lists.setdefault(meant[0], kind) != kind:
                raise DataError(
                    f"{meant[0]} is on both {TRAIN_VAL_LIST} and {TEST_LIST} of {root}. Take it "
                    "off one of them, or a model is tested on what it learnt."
                )
    unlisted = [image for image in images if image not in lists]
    if unlisted:
        near = f" Names on the lists that are no image: {some(absent_names)}." * bool(absent_names)
        raise DataError(
            f"{many(unlisted, f'of {len(images)} image(s) are on neither list', root)}\n"
            f"Complete {TRAIN_VAL_LIST} and {TEST_LIST}, or set split.use_lists: false to split by "
            f"patient without them.{near}"
        )
    if absent_names:
        console.warn(
            f"{len(absent_names)} name(s) on the lists of {root} are no image there: "
            f"{some(absent_names)}"
        )
    return lists


def _check_all(
    root: Path,
    images: Sequence[str],
    known: Mapping[str, tuple[int, str]],
    min_side: int,
    sixteen_bit: SixteenBit,
) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
    """Return size and CRC-32 of usable images, after decoding those not yet known.

    Also return what is wrong with the others.
    """
    work = functools.partial(_check, root, min_side, sixteen_bit)
    items = [(image, known.get(image)) for image in images]
    checked: dict[str, tuple[int, str]] = {}
    unusable: dict[str, str] = {}
    results = parallel(work, items, what="checking the images")
    for image, result in zip(images, results, strict=True):
        if isinstance(result, str):
            unusable[image] = result
        else:
            checked[image] = result
    return checked, unusable


def _known(raw_dir: Path, root: Path) -> dict[str, tuple[int, str]]:
    """Return size and CRC-32 of the images of this folder that an earlier run decoded."""
    try:
        source = open_source(raw_dir)
        entries = source.entries if source.root == root.resolve() else ()
    except DataError:  # nothing there yet, or damaged: every image is decoded
        return {}
    return {entry.image: (entry.bytes, entry.crc32) for entry in entries}


def _check(
    root: Path,
    min_side: int,
    sixteen_bit: SixteenBit,
    item: tuple[str, tuple[int, str] | None],
) -> tuple[int, str] | str:
    """Return size and CRC-32, or what is wrong with the file."""
    image, known = item
    try:
        data = (root / image).read_bytes()
        found = len(data), checksum(data)
        height, width = (
            # What is ignored of a file is told by downsample, which always decodes it.
            read_size(data)
            if found == known
            else read_grey(data, image, sixteen_bit, lambda ignored: None).shape
        )
    except OSError as error:
        return f"{image} cannot be read: {error.strerror}"
    except ImageError as error:
        return str(error)
    if min(height, width) < min_side:
        return (
            f"{image} is {width} x {height} pixels: allowed are sides of at least {min_side} "
            f"({MIN_LR_SIDE} times downsample.scale)"
        )
    return found
