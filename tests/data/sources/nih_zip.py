"""Small zips in the NIH's layout."""

import io
import zipfile

import numpy as np

from srpipe.formats.raster import encode_png

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,\n"
IMAGES = {
    "images_001/images/00000001_000.png": 10,
    "images_001/images/00000001_001.png": 20,
    "images_002/images/00000002_000.png": 30,
    "images_012/images/00000013_000.png": 40,
}


def picture(value: int) -> bytes:
    """Return a PNG file of one grey."""
    return encode_png(np.full((4, 4), value, np.uint8))


def parts() -> dict[str, bytes]:
    """Return the members of a small zip in the NIH's layout."""
    table = HEADER + (
        "00000001_000.png,No Finding,0,1,58,M,\n"
        "00000001_001.png,Cardiomegaly|Effusion,1,1,58,M,\n"
        "00000002_000.png,No Finding,0,2,81,M,\n"
        "00000013_000.png,No Finding,0,13,60,F,\n"
    )
    return {
        "Data_Entry_2017.csv": table.encode(),
        "BBox_List_2017.csv": b"Image Index,Finding Label\n",
        "train_val_list.txt": b"00000001_000.png\n00000001_001.png\n00000013_000.png",
        "test_list.txt": b"00000002_000.png\n",
        **{name: picture(value) for name, value in IMAGES.items()},
    }


def zipped(members: dict[str, bytes]) -> bytes:
    """Return the bytes of a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sample_parts() -> dict[str, bytes]:
    """Return the members of a small zip in the layout of Kaggle's sample: all twice, no lists."""
    table = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImageWidth,OriginalImageHeight,"
        "OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y\n"
        "00000013_005.png,Emphysema|Infiltration,5,13,060Y,M,AP,3056,2544,0.139,0.139\n"
        "00000013_026.png,Cardiomegaly,26,13,057Y,M,AP,2500,2048,0.168,0.168\n"
        "00000017_001.png,No Finding,1,17,077Y,F,PA,2500,2048,0.168,0.168\n"
    )
    images = {"00000013_005.png": 10, "00000013_026.png": 20, "00000017_001.png": 30}
    return {
        "sample_labels.csv": table.encode(),
        "sample/sample_labels.csv": table.encode(),
        **{
            f"{folder}/images/{name}": picture(value)
            for folder in ("sample/sample", "sample")
            for name, value in images.items()
        },
    }
