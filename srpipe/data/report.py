"""The data report: what the images are, what was changed, left out or is there twice.

`data/images.csv` has a row an image, `metrics/downsample.json` the counts; `report_picture` draws.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.files import for_spreadsheets
from srpipe.data import facts
from srpipe.data.pairs import Notes
from srpipe.data.sources.manifest import Entry, Source, some

NOTES = [column.name for column in fields(Notes)]
# Sizes that the counts list one by one; the rest is summed up.
SIZES = 10
# Names that they give of each kind.
SHOWN = 3


def sorted_out(
    entries: Sequence[Entry], results: Iterable[Notes | str], *, exclude: bool
) -> tuple[dict[str, Notes], dict[str, str]]:
    """Return the notes of images that can be used, and what is wrong with the others, by image.

    Raises:
        DataError: images cannot be used and are not to be excluded; all of them are looked at first
            and told in one message.
    """
    notes: dict[str, Notes] = {}
    excluded: dict[str, str] = {}
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, str):
            excluded[entry.image] = result
        else:
            notes[entry.image] = result
    if excluded and not exclude:
        told = console.lines(list(excluded.values()))
        raise DataError(
            f"{len(excluded)} of {len(entries)} image(s) cannot be used:{told}\n"
            "Replace them, or set downsample.damaged: exclude to leave such images out."
        )
    return notes, excluded


def image_table(
    source: Source,
    manifest: pd.DataFrame,
    notes: Mapping[str, Notes],
    excluded: Mapping[str, str],
) -> pd.DataFrame:
    """Return a row an image, those first that are packed.

    Args:
        source: where the images are from; what it left out is listed too.
        manifest: of the packed images, with the column pixels of `likeness.describe`.
        notes: of each packed image.
        excluded: why images are not packed.

    Returns:
        Columns image, patient, width and height (of HR), those of `Notes`, same_as (the first
        image of the same pixels, else ""), excluded (why, else ""), and those of `facts`.
    """
    first = manifest.groupby("pixels")["image"].transform("first")
    table = manifest[["image", "patient", "width", "height"]].copy()
    table[NOTES] = pd.DataFrame([asdict(notes[image]) for image in table["image"]])[NOTES]
    table["same_as"] = first.where(first != table["image"], "")
    table["excluded"] = ""
    patients = {entry.image: entry.patient for entry in source.entries}
    missing = {**source.excluded, **excluded}
    if missing:
        others = pd.DataFrame(
            [
                {"image": image, "patient": patients.get(image, ""), "excluded": reason}
                for image, reason in sorted(missing.items())
            ]
        )
        sizes = dict.fromkeys(("width", "height", "bits", "file_width", "file_height"), "Int64")
        table = pd.concat([table.astype(sizes), others], ignore_index=True)
    return table.join(source.facts(), on="image")


def for_people(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is written: texts are `for_spreadsheets`."""
    texts = table.select_dtypes(["object", "string"])
    return table.assign(
        **{
            str(name): column.map(for_spreadsheets, na_action="ignore")
            for name, column in texts.items()
        }
    )


def counts(table: pd.DataFrame, left_out: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report in numbers, with a few names of each kind.

    Args:
        table: as `image_table` makes it.
        left_out: files that are no images, by kind, as `source.json` has them.
    """
    out = table["excluded"] != ""
    used = table[~out]
    sizes = (
        used["file_width"].astype(int).astype(str)
        + " x "
        + used["file_height"].astype(int).astype(str)
    )
    common = sizes.value_counts().head(SIZES).sort_index()
    twins = used[used["same_as"] != ""]
    first = used.set_index("image")["patient"]
    others = twins["patient"] != twins["same_as"].map(first)
    return {
        "images": len(used),
        "patients": int(used["patient"].nunique()),
        "forms": _by_value(used["form"]),
        "bits": _by_value(used["bits"].astype(int)),
        "sizes": {
            **_by_value(sizes[sizes.isin(common.index)]),
            "other": int(len(sizes) - common.sum()),
        },
        "changed": _by_kind(used, "changes"),
        "ignored": _by_kind(used, "ignored"),
        "repeated": {
            "images": len(twins),
            "under_another_patient": int(others.sum()),
            "first": twins[["image", "same_as"]].head(SHOWN).to_numpy().tolist(),
        },
        "excluded": {
            "images": int(out.sum()),
            "first": table[out][["image", "excluded"]].head(SHOWN).to_numpy().tolist(),
        },
        "left_out": dict(left_out),
        "known": {name: int((used[name] != "").sum()) for name in facts.COLUMNS},
    }


def tell(found: Mapping[str, Any]) -> None:
    """Print what of `counts` is out of the ordinary: a line for each kind, however many images."""
    for kind, of_it in found["ignored"].items():
        console.warn(
            f"{of_it['images']} image(s): cannot be read and is ignored: {kind} ({_names(of_it)})"
        )
    for kind, of_it in found["changed"].items():
        console.say(f"{of_it['images']} image(s): {kind} ({_names(of_it)})")
    if found["repeated"]["images"]:
        pairs = [f"{one} = {other}" for one, other in found["repeated"]["first"]]
        console.say(f"{found['repeated']['images']} image(s) are there twice: {some(pairs)}")
    if found["excluded"]["images"]:
        reasons = "".join(f"\n  {reason}" for _, reason in found["excluded"]["first"])
        console.warn(f"{found['excluded']['images']} image(s) are left out, such as:{reasons}")


def _names(of_it: Mapping[str, Any]) -> str:
    rest = of_it["images"] - len(of_it["first"])
    return ", ".join(of_it["first"]) + (f" and {rest} more" if rest else "")


def _by_value(column: "pd.Series[Any]") -> dict[str, int]:
    return {str(value): int(count) for value, count in column.value_counts().sort_index().items()}


def _by_kind(table: pd.DataFrame, column: str) -> dict[str, Any]:
    """Return how many images have each of the items in a column, and the first of them."""
    each = table.set_index("image")[column].str.split("; ").explode()
    each = each[each != ""]
    return {
        str(kind): {"images": len(images), "first": [str(name) for name in images.index[:SHOWN]]}
        for kind, images in each.groupby(each)
    }
