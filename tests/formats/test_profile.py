"""Colour profiles are found in each format, and only those count that hold for the values read."""

import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srpipe.formats.profile import MOST_BYTES, of_grey
from srpipe.formats.raster import read_values
from tests.formats.written import (
    UNDEFINED,
    by_tifffile,
    chunk,
    colour_profile,
    grey_profile,
    png,
    saved,
    tiff,
)

GREY = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
PROFILE = grey_profile()
KINDS = ("PNG", "JPEG", "TIFF")
TAG = (34675, UNDEFINED, len(PROFILE), PROFILE)


def with_profile(image: Image.Image, kind: str, profile: bytes) -> bytes:
    return saved(image, kind, icc_profile=profile)


def test_only_profiles_of_grey_count() -> None:
    """Of LittleCMS both are whole; one that says another size or space is not."""
    assert of_grey(PROFILE) == PROFILE
    assert of_grey(colour_profile()) is None
    assert of_grey(None) is None
    for damaged in (
        b"",
        PROFILE[:131],
        PROFILE[:-1],
        PROFILE + b"\0",
        PROFILE.replace(b"acsp", b"acsq"),
        PROFILE[:128] + struct.pack(">L", 2**32 - 1) + PROFILE[132:],
        PROFILE[:136] + struct.pack(">L", 2**32 - 1) + PROFILE[140:],
        PROFILE[:140] + struct.pack(">L", len(PROFILE)) + PROFILE[144:],
        struct.pack(">L", MOST_BYTES + 1) + PROFILE[4:].ljust(MOST_BYTES - 3, b"\0"),
    ):
        assert of_grey(damaged) is None
    large = struct.pack(">L", MOST_BYTES) + PROFILE[4:].ljust(MOST_BYTES - 4, b"\0")
    assert of_grey(large) == large


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_that_of_the_file(kind: str) -> None:
    """In every format; also a long one, which JPEG holds in parts."""
    long = struct.pack(">L", 200_000) + PROFILE[4:].ljust(199_996, b"\1")
    for profile in (PROFILE, long):
        data = with_profile(Image.fromarray(GREY), kind, profile)
        found = read_values(data, "x")
        assert found.profile == profile
        assert found.ignored == ()
    assert read_values(saved(Image.fromarray(GREY), kind), "x").profile is None


@pytest.mark.parametrize(
    ("image", "kinds"),
    [
        (Image.fromarray(GREY).convert("RGB"), KINDS),
        (Image.fromarray(GREY).convert("P"), ("PNG", "TIFF")),
        (Image.fromarray(GREY).convert("RGBA"), ("PNG", "TIFF")),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_what_was_colour_has_none(image: Image.Image, kinds: tuple[str, ...]) -> None:
    """Neither the one of its colours, nor one of grey, which never held for them."""
    for kind in kinds:
        for profile in (colour_profile(), PROFILE):
            assert read_values(with_profile(image, kind, profile), "x").profile is None


def test_values_that_mean_the_same_keep_it() -> None:
    """Without their alpha, spread over 0 to 255, in less bits than words have, turned upright."""
    image = Image.fromarray(GREY)
    twelve = GREY.astype(np.uint16) * 16
    turned = Image.Exif()
    turned[274] = 6
    for data in (
        with_profile(image.convert("LA"), "PNG", PROFILE),
        with_profile(image.convert("1"), "PNG", PROFILE),
        saved(image, "JPEG", icc_profile=PROFILE, exif=turned),
        png(twelve, chunk(b"sBIT", b"\x0c"), chunk(b"iCCP", b"p\0\0" + zlib.compress(PROFILE))),
        tiff(twelve, 12, more=[TAG]),
        by_tifffile(twelve, extratags=[(*TAG, False)]),
    ):
        assert read_values(data, "x").profile == PROFILE


def test_values_that_mean_another_grey_have_none() -> None:
    """WhiteIsZero, numbers with a sign, and 32 bits, whose white is another."""
    for data in (
        tiff(GREY, 8, white_is_zero=True, more=[TAG]),
        tiff(GREY, 32, more=[TAG]),
        by_tifffile(GREY.astype(np.int16), extratags=[(*TAG, False)]),
    ):
        assert read_values(data, "x").profile is None


def test_a_profile_of_jpeg_must_have_all_its_parts() -> None:
    """Once each."""

    def parts(*numbers: tuple[int, int]) -> Any:
        half = len(PROFILE) // 2
        found = b""
        for number, count in numbers:
            body = b"ICC_PROFILE\0" + bytes((number, count))
            body += PROFILE[:half] if number == 1 else PROFILE[half:]
            found += struct.pack(">HH", 0xFFE2, len(body) + 2) + body
        data = saved(Image.fromarray(GREY), "JPEG")
        return read_values(data[:2] + found + data[2:], "x").profile

    assert parts((1, 2), (2, 2)) == parts((2, 2), (1, 2)) == PROFILE
    for odd in ([(1, 2)], [(2, 2)], [(1, 2), (1, 2)], [(1, 3), (2, 3)], [(0, 2), (1, 2)]):
        assert parts(*odd) is None


@pytest.mark.parametrize("kind", KINDS)
def test_damage_and_size_do_no_harm(kind: str) -> None:
    """The pixels are as they are, whatever the profile is; a bomb is not unpacked."""
    image, dice = Image.fromarray(GREY), random.Random(0)
    wanted = read_values(saved(image, kind), "x").array
    profiles = [b"", b"\0", bytes(3_000_000), PROFILE[:4] + dice.randbytes(len(PROFILE) - 4)]
    for _ in range(100):
        changed = bytearray(PROFILE)
        for _ in range(dice.randint(1, 8)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        profiles.append(bytes(changed))
    kept = 0
    for profile in profiles:
        found = read_values(with_profile(image, kind, profile), "x")
        assert np.array_equal(found.array, wanted)
        assert found.profile in (None, profile)
        kept += found.profile is not None
    assert 0 < kept < len(profiles)
