"""Intact files of every kind that is read, which the mutants are made from."""

import io
import struct
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from openjpeg.utils import encode_array
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from tests.conftest import _make_image
from tests.formats.radiographs import encoded, lookup_table, radiograph
from tests.formats.written import SHORT, by_tifffile, chunk, png, saved, tag, tiff

# The smallest that the page makes smaller and enlarges again.
HEIGHT, WIDTH = 64, 72

# By gdcm's names of what it encodes.
_JPEG = ("JPEGBaselineProcess1", "JPEGLosslessProcess14", "JPEGLosslessProcess14_1")
_JPEG_LS = ("JPEGLSLossless", "JPEGLSNearLossless")
_JPEG_2000 = ("JPEG2000Lossless", "JPEG2000")

Seeds = Mapping[str, list[bytes]]


def seeds(dicom_sample: Path | None = None) -> Seeds:
    """Return seed files by kind; real DICOM files too, if a folder of them is given."""
    grey = _make_image(1, HEIGHT, WIDTH)
    deep = grey.astype(np.uint16) * 257 + np.arange(WIDTH, dtype=np.uint16)
    found = {
        "PNG": _pngs(grey, deep),
        "TIFF": _tiffs(grey, deep),
        "JPEG": _jpegs(grey),
        "BMP": _bmps(grey),
        "JPEG 2000": _jpeg_2000s(grey, deep),
        **_dicoms(grey, deep),
    }
    if dicom_sample is not None:
        files = sorted(dicom_sample.glob("*.dcm"))
        found["DICOM, real"] = [path.read_bytes() for path in files]
    return found


def _colour(grey: Any) -> Image.Image:
    return Image.fromarray(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1))


def _pngs(grey: Any, deep: Any) -> list[bytes]:
    image, colour = Image.fromarray(grey), _colour(grey)
    exif = Image.Exif()
    exif[274] = 6
    texts = PngInfo()
    texts.add_text("Description", "of nobody", zip=True)
    texts.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="3"/>', zip=True)
    return [
        saved(image, "PNG", dpi=(300, 300)),
        saved(image.convert("1"), "PNG"),
        saved(image.convert("LA"), "PNG"),
        saved(colour, "PNG", exif=exif, pnginfo=texts, icc_profile=bytes(200)),
        saved(colour.convert("RGBA"), "PNG"),
        saved(colour.quantize(64), "PNG"),
        png(deep),
        png(deep // 16, chunk(b"sBIT", b"\x0c"), after=chunk(b"tEXt", b"a\0b")),
    ]


def _tiffs(grey: Any, deep: Any) -> list[bytes]:
    image, colour = Image.fromarray(grey), _colour(grey)
    made = [
        tiff(array, bits, order=order, compression=compression, tiles=tiles, differences=by)
        for array, bits in ((grey, 8), (deep // 16, 12), (deep, 16))
        for order, compression, tiles, by in (
            ("<", 1, False, False),
            (">", 1, True, False),
            ("<", 5, False, bits != 12),
            (">", 8, True, False),
            ("<", 32773, True, False),
            (">", 34925, False, False),
        )
    ]
    preview = [tag("<", 254, [1]), tag("<", 262, [0], SHORT)]
    made += [
        tiff(grey, 8, white_is_zero=True, following=preview),
        tiff(deep // 16, 12, words=True, more=[tag("<", 274, [6], SHORT)]),
        tiff(deep, 32),
        by_tifffile(grey, bigtiff=True),
        by_tifffile(deep, tile=(32, 32), compression="zlib", byteorder=">"),
        by_tifffile(deep, tile=(16, 16), bigtiff=True, compression="zlib"),
    ]
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "zstd", "raw"):
        made.append(saved(colour, "TIFF", compression=kind))
    made.append(saved(colour.quantize(64), "TIFF", compression="tiff_lzw"))
    made += [
        saved(image.convert("1"), "TIFF", compression=kind)
        for kind in ("group3", "group4", "tiff_ccitt")
    ]
    return made


def _bmps(grey: Any) -> list[bytes]:
    image, colour = Image.fromarray(grey), _colour(grey)
    images = (image, image.convert("1"), colour, colour.convert("RGBA"), colour.quantize(64))
    return [saved(each, "BMP", dpi=(300, 300)) for each in images]


def _jpeg_2000s(grey: Any, deep: Any) -> list[bytes]:
    images = (Image.fromarray(grey), Image.fromarray(deep), _colour(grey))
    tiled = {"tile_size": (32, 32), "irreversible": False}
    return [
        *(saved(each, "JPEG2000", irreversible=by) for each in images for by in (True, False)),
        saved(images[0], "JPEG2000", no_jp2=True, **tiled),
        bytes(encode_array(deep // 16, bits_stored=12)),
    ]


def _jpegs(grey: Any) -> list[bytes]:
    image, colour = Image.fromarray(grey), _colour(grey)
    exif = Image.Exif()
    exif[274] = 8
    return [
        saved(image, "JPEG", dpi=(300, 300)),
        saved(image, "JPEG", progressive=True, comment="of nobody"),
        saved(colour, "JPEG", quality=60, exif=exif),
        saved(colour, "JPEG", progressive=True, subsampling=0),
        saved(colour, "JPEG", optimize=True, restart_marker_rows=1, icc_profile=bytes(300)),
        saved(colour.convert("CMYK"), "JPEG"),
    ]


def _dicoms(grey: Any, deep: Any) -> Seeds:
    native = [
        radiograph(grey, 8, PhotometricInterpretation="MONOCHROME1"),
        radiograph(deep // 16, 12, ModalityLUTSequence=[lookup_table()]),
        radiograph(deep.astype(np.int32) - 32768, 16, signed=True, PixelPaddingValue=-32768),
    ]
    others: list[Dataset] = []
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        for array, bits in ((grey, 8), (deep // 16, 12)):
            dataset = radiograph(array, bits)
            dataset.file_meta.TransferSyntaxUID = syntax
            if bits == 8 and syntax == DeflatedExplicitVRLittleEndian:
                dataset["PixelData"].VR = "OB"
            others.append(dataset)
    runs = [radiograph(grey, 8), radiograph(deep // 16, 12), radiograph(deep, 16)]
    compressed = [encoded(each) for each in runs]
    for each in runs:
        each.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return {
        "DICOM": [encoded(each) for each in (*native, *others)],
        "DICOM, RLE": [encoded(each) for each in runs],
        "DICOM, JPEG": [
            by_gdcm(data, name)
            for data in compressed
            for name in _JPEG
            if name != "JPEGBaselineProcess1" or data is compressed[0]
        ],
        "DICOM, JPEG-LS": [by_gdcm(data, name) for data in compressed for name in _JPEG_LS],
        "DICOM, JPEG 2000": [
            *(by_gdcm(data, name) for data in compressed for name in _JPEG_2000),
            _boxed(by_gdcm(compressed[1], "JPEG2000Lossless")),
        ],
    }


def by_gdcm(data: bytes, syntax: str) -> bytes:
    """Return a DICOM file in another transfer syntax."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "x.dcm")
        Path(path).write_bytes(data)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), None
        reader.SetFileName(path)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(path)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return Path(path).read_bytes()


def _boxed(data: bytes) -> bytes:
    """Return a DICOM file of JPEG 2000 whose codestream lies in a JP2 file, as some writers do."""
    dataset = dcmread(io.BytesIO(data))
    return encoded(
        with_frame(dataset, jp2(frame_of(dataset), int(dataset.Rows), int(dataset.Columns)))
    )


def jp2(codestream: bytes, height: int, width: int) -> bytes:
    """Return a JP2 file around a grey codestream of JPEG 2000."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L4s", len(body) + 8, kind) + body

    depth = codestream[42]  # SIZ's of the first component
    header = box(b"ihdr", struct.pack(">LLHBBBB", height, width, 1, depth, 7, 0, 0))
    colour = box(b"colr", struct.pack(">BBBL", 1, 0, 0, 17))
    return b"".join(
        (
            box(b"jP  ", b"\r\n\x87\n"),
            box(b"ftyp", b"jp2 \0\0\0\0jp2 "),
            box(b"jp2h", header + colour),
            box(b"jp2c", codestream),
        )
    )


def frame_of(dataset: Dataset) -> bytes:
    """Return the compressed pixels of one frame."""
    from pydicom.encaps import generate_frames

    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def with_frame(dataset: Dataset, frame: bytes) -> Dataset:
    """Return a dataset with other compressed pixels."""
    from pydicom.encaps import encapsulate

    dataset.add_new("PixelData", "OB", encapsulate([frame]))
    dataset["PixelData"].is_undefined_length = True
    return dataset


def deflated_again(data: bytes) -> tuple[bytes, bytes]:
    """Return the header of a deflated DICOM file, and the rest of it inflated."""
    length = struct.unpack_from("<L", data, 140)[0]
    at = 144 + length
    return data[:at], zlib.decompress(data[at:], -zlib.MAX_WBITS)
