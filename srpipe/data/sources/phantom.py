"""The phantom: synthetic radiographs, so that the pipeline runs without any download."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

import srpipe.phantom
from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.files import replacing_folder, write_csv, write_json
from srpipe.core.parallel import parallel
from srpipe.data.facts import facts_in
from srpipe.data.sources.manifest import FACTS, Entry, checksum, open_source, write_source
from srpipe.formats.raster import encode_png
from srpipe.imaging import lettering
from srpipe.phantom.cohort import Exposure, plan_cohort
from srpipe.phantom.render import render
from srpipe.phantom.table import table
from srpipe.settings.datasets import Phantom

IMAGES = "images"
TABLE = "Data_Entry_2017.csv"
RECORD = "phantom.json"


def fetch(phantom: Phantom, raw_dir: Path) -> None:
    """Render the cohort into `raw_dir`, unless it is there already, complete and unchanged.

    Writes `images/*.png` (8-bit grey, 1024 x 1024), `Data_Entry_2017.csv` in the NIH's columns,
    `phantom.json` (what it was made from), and the manifest. On an error the old files stay.

    Raises:
        OutputError: a file cannot be written.
    """
    made_from = {"settings": phantom.model_dump(), "code_sha256": _code_sha256()}
    if _is_there(raw_dir, made_from):
        console.say(f"the phantom is already there, whole and unchanged: {raw_dir}")
        return
    cohort = plan_cohort(phantom.patients, phantom.max_images_per_patient, phantom.seed)
    with replacing_folder(raw_dir) as folder:
        (folder / IMAGES).mkdir()
        work = functools.partial(_render_to, folder)
        entries = list(parallel(work, cohort, what="rendering the phantom"))
        rows = pd.DataFrame(table(cohort))
        write_csv(folder / TABLE, rows)
        facts = facts_in(rows.astype(str), [exposure.image_name for exposure in cohort])
        write_source(folder, "folder", ".", entries, facts=facts)
        sums = _sums(folder)
        write_json(folder / RECORD, {**made_from, "crc32": sums})


def _render_to(folder: Path, exposure: Exposure) -> Entry:
    """Render one image into the folder, and return its row of the manifest."""
    data = encode_png(render(exposure))
    file = f"{IMAGES}/{exposure.image_name}"
    (folder / file).write_bytes(data)
    return Entry(
        image=exposure.image_name,
        patient=str(exposure.patient),
        list="",
        file=file,
        bytes=len(data),
        crc32=checksum(data),
    )


def _is_there(raw_dir: Path, made_from: dict[str, Any]) -> bool:
    """Say whether `raw_dir` was made from the same settings and code, and is undamaged."""
    try:
        record = json.loads((raw_dir / RECORD).read_text(encoding="utf-8"))
        sums = record.pop("crc32")
        if record != made_from or sums != _sums(raw_dir):
            return False
        source = open_source(raw_dir)
        for entry in source.entries:
            source.read(entry)
    # Anything missing or damaged is rendered again; this folder holds no user data.
    except (OSError, ValueError, LookupError, AttributeError, TypeError, DataError):
        return False
    return True


def _sums(folder: Path) -> dict[str, str]:
    return {name: checksum((folder / name).read_bytes()) for name in (TABLE, FACTS)}


def _code_sha256() -> str:
    """Return the digest of the rendering code: other code may render other images."""
    digest = hashlib.sha256()
    package = Path(srpipe.phantom.__file__).parent
    for path in (*sorted(package.rglob("*.py")), Path(lettering.__file__)):
        digest.update(path.name.encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()
