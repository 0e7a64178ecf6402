"""TIFF: what is read is what was written, or the message says what is not read."""

import io
import itertools
import re
import struct
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, features

from srpipe.core.errors import ImageError
from srpipe.formats.raster import read_grey, read_size, read_values
from tests.formats.written import (
    COMPRESSIONS,
    SHORT,
    by_tifffile,
    header,
    saved,
    tag,
    tiff,
)

HEIGHT, WIDTH = 21, 37  # neither fills strips or tiles, nor do rows of packed samples fill bytes


def values(bits: int) -> npt.NDArray[np.int64]:
    """Return all kinds of values of a depth, its lowest and its highest among them."""
    made = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH))
    made[0, :2], made[-1, -2:] = (0, 2**bits - 1), (2**bits - 1, 0)
    return made


def eight(array: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Return what `full_range` makes of values, rounded half up."""
    return np.floor(array * 255 / (2**bits - 1) + 0.5)


def full(data: bytes) -> Any:
    """Read without allowing a warning."""
    return read_grey(data, "x.tif", "full_range", tell=pytest.fail)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16])
def test_what_is_read_is_what_was_written(bits: int) -> None:
    """Any depth, either byte order, white or black zero, strips or tiles, each compression; the
    range is that of the depth: 0 becomes 0, and 2^bits - 1 becomes 255.
    """
    stored = values(bits)
    for order, white, tiles, compression in itertools.product(
        "<>", (False, True), (False, True), COMPRESSIONS
    ):
        kind = f"{bits=} {order=} {white=} {tiles=} {compression=}"
        data = tiff(
            stored, bits, order=order, white_is_zero=white, tiles=tiles, compression=compression
        )
        wanted = 2**bits - 1 - stored if white else stored
        found = read_values(data, kind)
        assert (found.low, found.high) == ((0, 2**bits - 1) if bits > 8 else (0, 255)), kind
        if bits > 8:
            assert np.array_equal(found.array, wanted), kind
        assert np.array_equal(full(data), eight(wanted, bits)), kind
        assert read_size(data) == (HEIGHT, WIDTH), kind


@pytest.mark.parametrize("bits", [8, 16])
def test_a_predictor_is_undone(bits: int) -> None:
    """Horizontal differences of 8 and 16 bits, where a compression may have them."""
    for order, tiles, compression in itertools.product("<>", (False, True), (5, 8, 32946, 34925)):
        kind = f"{bits=} {order=} {tiles=} {compression=}"
        data = tiff(
            values(bits),
            bits,
            order=order,
            tiles=tiles,
            compression=compression,
            differences=True,
        )
        assert np.array_equal(full(data), eight(values(bits), bits)), kind


def test_samples_in_words_that_say_their_depth() -> None:
    """Of 10, 12 and 14 bits: by BitsPerSample, or by a MaxSampleValue with all bits set."""
    for bits, order, white, tiles in itertools.product(
        (10, 12, 14), "<>", (False, True), (False, True)
    ):
        kind = f"{bits=} {order=} {white=} {tiles=}"
        stored = values(bits)
        wanted = 2**bits - 1 - stored if white else stored
        for data in (
            tiff(stored, bits, order=order, white_is_zero=white, tiles=tiles, words=True),
            tiff(
                stored,
                16,
                order=order,
                white_is_zero=white,
                tiles=tiles,
                compression=5,
                more=[tag(order, 281, [2**bits - 1], SHORT)],
            ),
        ):
            found = read_values(data, kind)
            assert (found.bits, found.high) == (bits, 2**bits - 1), kind
            assert np.array_equal(found.array, wanted), kind
            assert np.array_equal(full(data), eight(wanted, bits)), kind


def test_a_largest_value_that_occurs_is_no_depth() -> None:
    """MaxSampleValue may be the image's own maximum, which says nothing of the range."""
    stored = values(12) % 3001
    data = tiff(stored, 16, more=[tag("<", 281, [int(stored.max())], SHORT)])
    assert read_values(data, "x.tif").high == 65535


def test_values_above_the_stated_depth_are_told() -> None:
    """The file contradicts itself: its words are 16 bits, and the statement is ignored."""
    data = tiff(values(16), 16, more=[tag("<", 281, [4095], SHORT)])
    told: list[str] = []
    found = read_grey(data, "x.tif", "full_range", tell=told.append)
    assert np.array_equal(found, eight(values(16), 16))
    assert [re.sub(r"\s+", " ", each) for each in told] == [
        "x.tif: cannot be read and is ignored: MaxSampleValue of 12 bits, which values exceed"
    ]


def test_numbers_with_a_sign_and_of_32_bits() -> None:
    """Read where they are 0 to 65535, whatever the byte order; refused where they are not."""
    small = values(15)
    for kind, order, compression in itertools.product(("i2", "i4", "u4"), "<>", (None, "deflate")):
        data = by_tifffile(
            small.astype(kind), photometric="minisblack", byteorder=order, compression=compression
        )
        if (kind, order, compression) in (("i4", ">", "deflate"), ("u4", ">", "deflate")):
            with pytest.raises(ImageError, match="compressed 32-bit numbers of high byte first"):
                read_values(data, "x.tif")
        else:
            assert np.array_equal(read_values(data, "x.tif").array, small), (kind, order)
    for array in (-small.astype("i2"), -small.astype("i4")):
        with pytest.raises(ImageError, match=r"values from -32767 to 0: allowed"):
            read_values(by_tifffile(array, photometric="minisblack"), "x.tif")
    with pytest.raises(ImageError, match="WhiteIsZero in 16 bits, which has no fixed white"):
        read_values(by_tifffile(small.astype("i2"), photometric="miniswhite"), "x.tif")


def test_bigtiff_and_zstandard() -> None:
    """BigTIFF by tifffile, Zstandard by Pillow, where it has it."""
    array = values(16).astype(np.uint16)
    assert np.array_equal(
        read_values(by_tifffile(array, photometric="miniswhite", bigtiff=True), "x").array,
        65535 - array,
    )
    assert features.check("libtiff")
    data = saved(Image.fromarray(array), "TIFF", compression="zstd")
    assert np.array_equal(read_values(data, "x").array, array)


def test_colour_in_planes_and_in_jpeg() -> None:
    """Equal red, green and blue are their value, in separate planes too; JPEG within its loss."""
    grey = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8) * 3
    colours = np.stack([grey] * 3)
    planes = by_tifffile(colours, photometric="rgb", planarconfig="separate")
    assert np.array_equal(full(planes), grey)
    for image in (Image.fromarray(grey), Image.fromarray(np.stack([grey] * 3, -1))):
        found = full(saved(image, "TIFF", compression="jpeg", quality=100))
        assert np.abs(found.astype(int) - grey).max() <= 4


def test_previews_and_masks_are_passed_over() -> None:
    """Wherever they lie; two full pages are refused, for either could be meant."""
    array = values(8)
    preview = np.zeros((8, 8), np.uint8)
    for marks in ((0, 1), (1, 0), (0, 1, 4), (1, 1, 0)):
        written = _pages([array if mark == 0 else preview for mark in marks], marks)
        assert np.array_equal(full(written), array), marks
    for marks in ((0, 0), (1, 1), (2, 2)):
        with pytest.raises(ImageError, match=r"TIFF file of 2 pages, [02] of them in full"):
            full(_pages([array, array], marks))
    one = tiff(array, 8, more=[tag("<", 254, [1])])
    assert np.array_equal(full(one), array), "the only page, whatever its mark"
    old = tiff(array, 8, following=[tag("<", 255, [2], SHORT)])
    assert np.array_equal(full(old), array), "the older mark of a preview"


def test_a_list_of_pages_that_leads_back_has_an_end() -> None:
    """To the page itself, as some writers have it."""
    data = tiff(values(8), 8)
    count = int.from_bytes(data[8:10], "little")
    place = 10 + 12 * count
    assert np.array_equal(full(data[:place] + b"\x08\0\0\0" + data[place + 4 :]), values(8))


def _pages(pages: list[Any], marks: tuple[int, ...]) -> bytes:
    """Return a TIFF of pages with NewSubfileType."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page, mark in zip(pages, marks, strict=True):
            kind = bool if mark == 4 else np.uint8  # masks have one bit
            writer.write(page.astype(kind), photometric="minisblack", subfiletype=mark)
    return buffer.getvalue()


def test_orientation_is_applied_to_every_depth() -> None:
    """The eight of them, of which a quarter turn exchanges height and width."""
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).T,
        8: np.rot90,
    }
    for bits, (orientation, turn) in itertools.product((8, 12, 16), turned.items()):
        data = tiff(values(bits), bits, more=[tag("<", 274, [orientation], SHORT)])
        assert np.array_equal(full(data), eight(turn(values(bits)), bits)), (bits, orientation)


def test_tags_that_pixels_do_not_need_may_be_damaged() -> None:
    """Values beyond the file or of an unknown type are ignored and told; pixels are read."""
    far = (33432, 2, 10**6, b"\xff\xff\xff\x7f")
    strange = (50000, 99, 1, b"\0\0\0\0")
    xmp = (700, 7, 10**5, b"\xff\xff\xff\x7f")
    for damaged in (far, strange, xmp):
        data = tiff(values(8), 8, more=[damaged])
        told: list[str] = []
        assert np.array_equal(read_grey(data, "x.tif", "minmax", told.append), values(8))
        assert told == [f"x.tif: cannot be read and is ignored: its tag {damaged[0]}"]


def test_of_too_many_values_the_first_is_taken() -> None:
    """Scanners write two where one is meant, and nothing is wrong with their images."""
    data = tiff(values(8), 8, more=[tag("<", 284, [1, 1], SHORT)])
    assert np.array_equal(full(data), values(8))


def test_tags_that_pixels_need_must_not_be_damaged() -> None:
    """Nor the orientation, of which nobody could know what it was."""
    for number in (320, 278, 274):
        data = tiff(values(8), 8)
        broken = (number, 4, 10**6, b"\xff\xff\xff\x7f")
        data = tiff(values(8), 8, more=[broken], tiles=number == 278)
        with pytest.raises(ImageError, match=rf"is damaged: its tag {number} cannot be read"):
            read_grey(data, "x.tif", "minmax")


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(kept: float) -> None:
    """Whatever its compression, and whether tiles or strips are missing."""
    for compression, tiles, bits in itertools.product((1, 5, 8, 32773), (False, True), (8, 12, 16)):
        if compression == 1 and tiles and kept >= 0.9:
            continue  # of uncompressed tiles only rows below the image are missing
        data = tiff(values(bits), bits, compression=compression, tiles=tiles)
        with pytest.raises(ImageError, match=r"x\.tif .*(damaged|cut)"):
            read_grey(data[: int(len(data) * kept)], "x.tif", "minmax")


def test_what_is_not_claimed_is_refused_with_its_name() -> None:
    """Never read as something else: depths, predictors, compressions that nothing undoes."""
    for data, found in (
        (tiff(values(3), 3), "3 bits a channel"),
        (tiff(values(12), 12, differences=True, compression=5), "12 bits with a predictor"),
        (tiff(values(4), 4, differences=True, compression=5), "4 bits with a predictor"),
        (tiff(values(8), 8, more=[tag("<", 339, [2], SHORT)]), "signed numbers"),
        (_compressed(12, 7), "12 bits compressed in way 7"),
        (_compressed(8, 6), "8 bits compressed in way 6"),
        (_compressed(8, 4), "8 bits compressed in way 4"),
        (header("<") + b"\xff", "cut"),
    ):
        with pytest.raises(ImageError, match=found):
            read_values(data, "x.tif")


def _compressed(bits: int, compression: int) -> bytes:
    data = tiff(values(bits), bits)
    place = data.index(b"\x03\x01\x03\x00\x01\x00\x00\x00") + 8
    return data[:place] + bytes((compression,)) + data[place + 1 :]


def test_twelve_bits_span_the_whole_range() -> None:
    """A ramp of packed 12-bit samples over 0 and 4095 comes out as 0 and 255, not as 0 and 16."""
    ramp = np.tile([0, 4095], (64, 32))
    assert full(tiff(ramp, 12)).tolist() == np.tile([0, 255], (64, 32)).tolist()
    assert read_grey(tiff(ramp, 12), "x.tif", "minmax").max() == 255


@pytest.mark.parametrize("bits", [8, 12])
def test_fewer_pixels_may_be_allowed(bits: int) -> None:
    """They are counted in the header: packed samples as pixels, not as the bytes that hold them."""
    data = tiff(values(bits), bits)
    assert read_values(data, "x", HEIGHT * WIDTH).array.shape == (HEIGHT, WIDTH)
    wanted = "x has too many pixels, 37 x 21: allowed are 776. Check"
    with pytest.raises(ImageError, match=wanted):
        read_values(data, "x", HEIGHT * WIDTH - 1)


# ------------------------------------------------------------------ lies about what is there


def test_fewer_tiles_or_strips_than_the_size_needs_are_refused() -> None:
    """Pillow leaves what lacks black."""
    for tiles, compression in itertools.product((False, True), COMPRESSIONS):
        data = tiff(values(8), 8, tiles=tiles, compression=compression)
        size = struct.pack("<HHLL", 256 + (not tiles), 4, 1, (HEIGHT, WIDTH)[tiles])
        assert data.count(size) == 1
        larger = data.replace(size, size[:8] + struct.pack("<L", 10 * WIDTH))
        with pytest.raises(ImageError, match=r"x\.tif is damaged: it is cut: of \d+ parts"):
            full(larger)


def test_the_same_bytes_under_many_tags_do_not_fill_memory() -> None:
    """A tag that holds the whole file is read; the next one of its size is not."""
    more = [tag("<", 40000 + number, bytes(1_000_000)) for number in range(2)]
    data = bytearray(tiff(values(8), 8, more=more[:1]))
    whole = struct.pack("<HHL", 40000, 7, 1_000_000)
    at = data.index(whole)
    pointed = data[at + 8 : at + 12]
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    entries = data[first + 2 : first + 2 + 12 * count]
    entries += b"".join(
        struct.pack("<HHL", 40001 + number, 7, 1_000_000) + pointed for number in range(1000)
    )
    data[4:8] = len(data).to_bytes(4, "little")
    data += struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    tracemalloc.start()
    try:
        found = read_values(bytes(data), "x.tif")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert np.array_equal(found.array, values(8))
    assert len(found.ignored) > 990


def test_pages_without_end_are_refused() -> None:
    """A list of thousands, each of a few bytes."""
    data = tiff(values(8), 8)
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    end = first + 2 + 12 * count
    places = range(len(data), len(data) + 6 * 5000, 6)
    pages = b"".join(struct.pack("<HL", 0, place + 6) for place in places[:-1]) + bytes(6)
    linked = data[:end] + places[0].to_bytes(4, "little") + data[end + 4 :] + pages
    with pytest.raises(ImageError, match=r"x\.tif is a TIFF file of 1001 pages or more"):
        full(linked)
