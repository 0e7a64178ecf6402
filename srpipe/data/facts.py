"""What a data set's own table says of each image and its patient: view, sex, age, findings.

Columns are found by the names that the NIH, CheXpert, MIMIC-CXR and PadChest give them. No other
column is read: a hospital's table may hold names and dates of birth, and facts travel into outputs
that are committed. Values stay as they are in the table, as text; "" is unknown.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from srpipe.core.errors import DataError

# Names are compared without regard to case. The NIH's header is cut at its commas:
# "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]".
NAMES: dict[str, tuple[str, ...]] = {
    "view": ("View Position", "ViewPosition", "ViewPosition_DICOM", "AP/PA"),
    "sex": ("Patient Sex", "Patient Gender", "PatientSex", "PatientSex_DICOM", "Sex", "Gender"),
    "age": ("Patient Age", "PatientAge", "Age"),
    "findings": ("Finding Labels",),
    "follow_up": ("Follow-up #",),
    "original_width": ("OriginalImage[Width", "OriginalImageWidth"),
    "original_height": ("Height]", "OriginalImageHeight"),
    "spacing_x": ("OriginalImagePixelSpacing[x", "OriginalImagePixelSpacing_x"),
    "spacing_y": ("y]", "OriginalImagePixelSpacing_y"),
}
COLUMNS = list(NAMES)


def facts_in(table: pd.DataFrame, images: Sequence[str]) -> pd.DataFrame:
    """Return the facts that a table holds.

    Args:
        table: its rows, as text, with any columns.
        images: of each row the image that it is about.

    Returns:
        A row an image, the index its name, with all of `COLUMNS`. Where an image has several rows
        that differ, the fact is unknown.
    """
    header = {str(name).strip().casefold(): name for name in reversed(table.columns)}
    found = pd.DataFrame(index=pd.Index(images, name="image"))
    for fact, names in NAMES.items():
        column = next((header[n.casefold()] for n in names if n.casefold() in header), None)
        found[fact] = "" if column is None else table[column].fillna("").str.strip().to_numpy()
    if found.index.has_duplicates:
        one = found.groupby(level=0)
        found = one.first().where(one.nunique() == 1, "")
    return found


def read_facts(path: Path) -> pd.DataFrame:
    """Return the facts in a CSV file that has them, a row an image, the index its name.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if table["image"].duplicated().any():
            raise ValueError("an image is there twice")
        return table.set_index("image")[COLUMNS]
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the stages before this one first") from error
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is damaged: {error}. Run `dvc repro --force download downsample`, which makes "
            "it again"
        ) from error
