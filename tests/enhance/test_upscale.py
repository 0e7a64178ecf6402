"""An array in, an array four times as large out; files and folders likewise; nothing is lost."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import srpipe
from srpipe.core.errors import CheckpointError, DataError, ImageError, OutputError, SettingsError
from srpipe.core.files import sha256
from srpipe.enhance.engine import load
from srpipe.enhance.upscale import (
    FIDELITY,
    PERCEPTION,
    Enhanced,
    method,
    targets,
    upscale,
    upscale_bytes,
    upscale_file,
    upscale_values,
)
from srpipe.formats.raster import SixteenBit, Values, encode_png, file_bytes, read_file, read_values
from srpipe.imaging.resample import GreyImage, downsample
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve
from srpipe.models.released import released_names, weights_file
from srpipe.trust.interval import of_record
from tests.conftest import MakeImage
from tests.enhance.generators import save_bicubic, save_plain_sr, save_swift
from tests.formats.written import by_tifffile, chunk, png, saved

# ------------------------------------------------------------------ an array


@pytest.mark.parametrize("shape", [(16, 16), (16, 41), (37, 20)])
def test_an_array_becomes_four_times_as_large(
    ours: Path, make_image: MakeImage, shape: tuple[int, int]
) -> None:
    """uint8 (h, w) to uint8 (4h, 4w), from the least size that is allowed; what the generator makes
    of it, and the array given is as it was.
    """
    lr = make_image(0, *shape)
    before = lr.copy()
    sr = upscale(lr, ours)
    assert (sr.dtype, sr.shape) == (np.uint8, (4 * shape[0], 4 * shape[1]))
    assert np.array_equal(sr, super_resolve(load_generator(ours).model, lr))
    assert np.array_equal(lr, before)


def test_the_scale_is_that_of_the_weights(make_image: MakeImage) -> None:
    """As `scale` of the loaded generator says."""
    weights = save_swift(Path("two.pt"), scale=2)
    assert load(weights).scale == 2
    assert upscale(make_image(0, 20, 24), weights).shape == (40, 48)


VIEWS: dict[str, Callable[[GreyImage], GreyImage]] = {
    "flipped": lambda image: image[::-1, ::-1],
    "transposed": lambda image: image.T,
    "cut out": lambda image: image[3:-5, 2:-1],
    "every second": lambda image: image[::2, ::2],
}


@pytest.mark.parametrize("kind", VIEWS)
def test_any_view_of_an_array_will_do(ours: Path, make_image: MakeImage, kind: str) -> None:
    """As numpy makes them by the way, and one that may not be written to."""
    view = VIEWS[kind](make_image(0, 40, 48))
    view.setflags(write=False)
    wanted = upscale(view.copy(), ours)
    assert np.array_equal(upscale(view, ours), wanted)
    assert np.array_equal(
        upscale(view, ours, consistent=True), upscale(view.copy(), ours, consistent=True)
    )


@pytest.mark.parametrize(
    ("image", "given"),
    [
        (np.zeros((20, 20), np.float32), r"float32 of shape \(20, 20\)"),
        (np.zeros((20, 20), np.uint16), r"uint16 of shape \(20, 20\)"),
        (np.zeros((20, 20), bool), r"bool of shape \(20, 20\)"),
        (np.zeros((20, 20, 3), np.uint8), r"uint8 of shape \(20, 20, 3\)"),
        (np.zeros((1, 20, 20), np.uint8), r"uint8 of shape \(1, 20, 20\)"),
        (np.zeros(400, np.uint8), r"uint8 of shape \(400,\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_type_or_shape_is_refused(ours: Path, image: Any, given: str) -> None:
    """The message says what was given and what is allowed; nothing is converted in silence."""
    with pytest.raises(ImageError, match=rf"{given}: give uint8 \(h, w\), 0 black to 255 white"):
        upscale(image, ours)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((15, 40), "40x15"), ((40, 15), "15x40"), ((1, 1), "1x1"), ((0, 20), "20x0")],
)
def test_an_image_too_small_is_refused(ours: Path, shape: tuple[int, int], size: str) -> None:
    """The message says its size, and the least that is allowed."""
    with pytest.raises(ImageError, match=f"{size} pixels: both sides must be at least 16"):
        upscale(np.zeros(shape, np.uint8), ours)


def test_consistent_results_downsample_to_their_input(ours: Path, make_image: MakeImage) -> None:
    """To every pixel of it, where nothing is saturated; without being asked they do not."""
    lr = make_image(1, 32, 40) // 2 + 64
    plain, consistent = (upscale(lr, ours, consistent=each) for each in (False, True))
    assert np.array_equal(downsample(consistent, 4), lr)
    assert (downsample(plain, 4) != lr).mean() > 0.1
    assert np.array_equal(
        consistent, super_resolve(load_generator(ours).model, lr, consistent=True)
    )


def test_bf16_is_off_by_little(ours: Path, make_image: MakeImage) -> None:
    """A grey level here and there."""
    lr = make_image(0, 20, 24)
    fp32, bf16 = (upscale(lr, ours, precision=each).astype(int) for each in ("fp32", "bf16"))
    assert 0 < np.abs(fp32 - bf16).max() <= 3


def test_a_precision_that_is_none_is_refused(ours: Path, make_image: MakeImage) -> None:
    """Not taken for fp32 in silence."""
    given: Any = "fp16"
    with pytest.raises(SettingsError, match="precision is 'fp16': give one of fp32, bf16"):
        upscale(make_image(0, 16, 16), ours, precision=given)


def test_the_device_is_the_environments_unless_it_is_given(
    ours: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there is refused before anything is computed."""
    lr = make_image(0, 16, 16)
    wanted = upscale(lr, ours)
    monkeypatch.setenv("SRPIPE_DEVICE", "cuda:99x")
    with pytest.raises(SettingsError, match="SRPIPE_DEVICE is 'cuda:99x'"):
        upscale(lr, ours)
    assert np.array_equal(upscale(lr, ours, device="cpu"), wanted)


# ------------------------------------------------------------------ weights


def test_name_path_and_loaded_generator_give_the_same_pixels(make_image: MakeImage) -> None:
    """Wherever the caller stands; without any the default is the fidelity generator."""
    lr = make_image(0, 20, 24)
    path = weights_file("plain_sr_x4")
    wanted = upscale(lr, load_generator(path))
    assert np.array_equal(upscale(lr), wanted)
    for weights in ("plain_sr_x4", str(path), path):
        assert np.array_equal(upscale(lr, weights), wanted)


@pytest.mark.parametrize("name", released_names())
def test_every_released_generator_can_be_named(name: str, make_image: MakeImage) -> None:
    """All are for 4x."""
    assert upscale(make_image(0, 16, 20), name).shape == (64, 80)


def test_weights_are_loaded_once(ours: Path) -> None:
    """A loop over images does not read the file for each."""
    assert load(ours) is load(str(ours))


def test_a_replaced_file_is_loaded_anew(make_image: MakeImage) -> None:
    """Also one of the same size and time, as a copy that keeps times makes it."""
    lr = make_image(0, 20, 24)
    weights = save_plain_sr(Path("mine.pt"))
    before, time = upscale(lr, weights), weights.stat()
    other = save_plain_sr(Path("other.pt"), seed=1)
    wanted = upscale(lr, load_generator(other))
    assert not np.array_equal(before, wanted)
    os.utime(other, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert other.stat().st_size == time.st_size
    other.replace(weights)
    assert np.array_equal(upscale(lr, weights), wanted)


def test_a_relative_path_is_that_of_the_folder_one_is_in(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two files of one name each is itself."""
    lr = make_image(0, 20, 24)
    made = []
    for seed in (0, 1):
        Path("there").mkdir()
        monkeypatch.chdir("there")
        save_plain_sr(Path("mine.pt"), seed=seed)
        os.utime("mine.pt", ns=(0, 0))
        made.append(upscale(lr, "mine.pt"))
    assert not np.array_equal(*made)


def test_weights_that_are_not_there_are_told(make_image: MakeImage) -> None:
    """And looked for again at the next call."""
    lr = make_image(0, 16, 16)
    with pytest.raises(CheckpointError, match=r"mine\.pt does not exist"):
        upscale(lr, "mine.pt")
    save_plain_sr(Path("mine.pt"))
    assert upscale(lr, "mine.pt").shape == (64, 64)
    Path("mine.pt").unlink()
    with pytest.raises(CheckpointError, match=r"mine\.pt does not exist"):
        upscale(lr, "mine.pt")


# ------------------------------------------------------------------ a file


def test_a_file_becomes_an_8_bit_grey_png(ours: Path, make_image: MakeImage) -> None:
    """Of the pixels that `upscale` makes of it; folders on the way are made."""
    Path("small.png").write_bytes(encode_png(make_image(0, 20, 24)))
    upscale_file(Path("small.png"), Path("new/folder/large.png"), method(ours, consistent=True))
    with Image.open("new/folder/large.png") as large:
        assert (large.format, large.mode) == ("PNG", "L")
        wanted = upscale(read_file(Path("small.png"), "minmax"), ours, consistent=True)
        assert np.array_equal(large, wanted)


def test_sixteen_bit_files_become_8_bit_if_asked(ours: Path) -> None:
    """By their own range, or by the whole range: as `upscale` of the 8-bit image."""
    dim = np.random.default_rng(0).integers(0, 4000, (20, 20), dtype=np.uint16)
    Image.fromarray(dim).save("dim.png")
    made: SixteenBit
    for made in ("minmax", "full_range"):
        upscale_file(Path("dim.png"), Path("out.png"), method(ours), made)
        with Image.open("out.png") as out:
            assert out.mode == "L"
            assert np.array_equal(out, upscale(read_file(Path("dim.png"), made), ours))


def deep(bits: int, least: int, most: int) -> npt.NDArray[np.uint16]:
    """Return a smooth image (24, 20) of values from `least` to `most`."""
    rows, columns = np.mgrid[:24, :20]
    wave = np.sin(rows / 5) + np.cos(columns / 4)
    wave = (wave - wave.min()) / (wave.max() - wave.min())
    assert most < 2**bits
    return np.rint(least + wave * (most - least)).astype(np.uint16)


DEEP_FILES: dict[str, tuple[int, Callable[[npt.NDArray[np.uint16]], bytes]]] = {
    "16.png": (16, png),
    "10.png": (10, lambda array: png(array, chunk(b"sBIT", b"\n"))),
    "16.tif": (16, by_tifffile),
    "12.tif": (12, lambda array: by_tifffile(array, extratags=[(281, 3, 1, 4095, False)])),
}


@pytest.mark.parametrize("kind", DEEP_FILES)
def test_the_depth_of_a_file_is_kept(kind: str) -> None:
    """9 to 16 bits come out in as many, within their own range, and finer than 256 levels: of a
    generator that is bicubic, each result is bicubic of the values as floats.
    """
    bits, written = DEEP_FILES[kind]
    array = deep(bits, 100, 1000)
    Path(kind).write_bytes(written(array))
    upscale_file(Path(kind), Path("large", kind), method(save_bicubic(Path("bicubic.pt"))))
    found = read_values(Path("large", kind).read_bytes(), kind)
    with Image.open(Path("large", kind)) as file:
        assert (file.format, file.mode) == ({"png": "PNG", "tif": "TIFF"}[kind[3:]], "I;16")
    assert (found.bits, found.ignored) == (bits, ())
    wanted = Image.fromarray(array.astype(np.float32)).resize((80, 96), Image.Resampling.BICUBIC)
    off = np.abs(np.clip(wanted, 100, 1000) - found.array)[8:-8, 8:-8]  # torch's borders differ
    assert off.max() < 0.6
    assert len(np.unique(found.array)) > 600


def test_a_small_part_of_the_range_is_given_to_the_network_whole(ours: Path) -> None:
    """The same image over 0..920 or over 0..65535 gets the same result, but for the scale: networks
    are trained on images that fill their range.
    """
    made = {}
    for most in (920, 65535):
        values = Values(deep(16, 0, most), 0, 65535, 16, ())
        made[most] = upscale_values(values, method(ours)) / most
    assert np.abs(made[920] - made[65535]).max() < 2 / 920
    assert (made[920].min(), made[920].max()) == (0, 1)


def test_a_constant_image_stays_constant(ours: Path) -> None:
    """Of its own value, whatever the network would make of it."""
    values = Values(np.full((16, 18), 777), 0, 4095, 12, ())
    assert np.array_equal(upscale_values(values, method(ours)), np.full((64, 72), 777))


def test_eight_bits_are_the_networks_as_they_are(ours: Path, make_image: MakeImage) -> None:
    """Not stretched to their own range: values are those of `upscale`, bit for bit."""
    lr = make_image(0, 20, 24) // 2 + 30
    for consistent in (False, True):
        found = upscale_values(Values(lr, 0, 255, 8, ()), method(ours, consistent=consistent))
        assert np.array_equal(found, upscale(lr, ours, consistent=consistent))


def test_deep_results_are_consistent_if_asked(ours: Path) -> None:
    """Downsampled, they are their input within the rounding of 8 bits over its own range."""
    lr = deep(16, 6000, 6475) + np.random.default_rng(0).integers(-200, 200, (24, 20))
    lr[0, :2] = 5600, 6875  # a range of 5 times 255
    off = {}
    for consistent in (False, True):
        sr = upscale_values(Values(lr, 0, 65535, 16, ()), method(ours, consistent=consistent))
        small = Image.fromarray(sr.astype(np.float32)).resize((20, 24), Image.Resampling.BICUBIC)
        off[consistent] = np.abs(np.asarray(small) - lr)[2:-2, 2:-2].max()
    assert off[True] <= 6 < off[False]


PADDED = np.pad(deep(12, 1000, 2000), 4)


def test_padding_is_no_part_of_the_image(ours: Path) -> None:
    """It stays where it was, and the network sees no edge to it."""
    found = upscale_values(Values(PADDED, 0, 4095, 12, (), None, (0, 0)), method(ours))
    inside = found[16:-16, 16:-16]
    assert not found[:16].any()
    assert not found[:, -16:].any()
    assert (inside.min(), inside.max()) == (1000, 2000)
    framed = np.pad(deep(12, 1000, 2000), 4, mode="edge")
    assert np.array_equal(
        inside, upscale_values(Values(framed, 0, 4095, 12, ()), method(ours))[16:-16, 16:-16]
    )
    nothing = Values(np.zeros((16, 16), int), 0, 4095, 12, (), None, (0, 0))
    assert not upscale_values(nothing, method(ours)).any()


@pytest.mark.parametrize("least", [1000, 1400])
def test_no_pixel_of_the_image_becomes_padding(ours: Path, least: int) -> None:
    """Where padding lies among the values of the image, results beside it stay beside it."""
    array = deep(12, 1000, 2000)
    array[(array >= least) & (array <= 1600)] = 1500
    found = upscale_values(Values(array, 0, 4095, 12, (), None, (least, 1600)), method(ours))
    padded = ((array >= least) & (array <= 1600)).repeat(4, 0).repeat(4, 1)
    assert (found[padded] == 1500).all()
    assert not ((found[~padded] >= least) & (found[~padded] <= 1600)).any()


@pytest.mark.parametrize("kind", ["a.png", "a.tif", "a.jpg", "a.bmp", "sideways.jpg"])
def test_pixels_are_as_many_times_smaller(kind: str, ours: Path, make_image: MakeImage) -> None:
    """The physical size, where the file states it, is that of the input; across is not down."""
    image = Image.fromarray(make_image(0, 20, 24))
    exif = Image.Exif()
    exif[274] = 6 if kind.startswith("sideways") else 1
    form = {"png": "PNG", "tif": "TIFF", "jpg": "JPEG", "bmp": "BMP"}[kind[-3:]]
    Path(kind).write_bytes(saved(image, form, dpi=(100, 50), exif=exif))
    (target,) = targets({kind: Path(kind)}, Path(kind), Path("large")).values()
    upscale_file(Path(kind), target, method(ours))
    with Image.open(target) as large:
        wanted = (200, 400) if kind.startswith("sideways") else (400, 200)
        assert large.info["dpi"] == pytest.approx(wanted, rel=1e-3)
    Path(kind).write_bytes(encode_png(make_image(0, 20, 24)))
    upscale_file(Path(kind), target, method(ours))
    assert read_values(file_bytes(target), kind).density is None, "nothing is said"


@pytest.mark.parametrize("kind", [".png", ".tif"])
def test_pixels_of_less_than_a_nanometre_are_not_said(ours: Path, kind: str) -> None:
    """A damaged resolution is more than PNG can hold, and no size of anything."""
    data = bytearray(saved(Image.fromarray(np.full((20, 20), 9, np.uint8)), "BMP"))
    data[38:46] = b"\xff\xff\xff\x7f" * 2
    made = upscale_bytes(bytes(data), "a.bmp", method(ours), suffix=kind)
    assert read_values(made.encode(), kind).density is None


def test_a_file_says_how_it_was_made(ours: Path, make_image: MakeImage) -> None:
    """Program, model, the weights' SHA-256, scale, settings, and that it is not for diagnosis; in
    PNG's texts and in TIFF's tags. Released models by their names.
    """
    Path("small.png").write_bytes(encode_png(make_image(0, 20, 24)))
    upscale_file(Path("small.png"), Path("a.png"), method(ours, consistent=True))
    wanted = (
        f"Super-resolved 4x by srpipe {srpipe.__version__} with ours.pt (fp32, consistent; weights "
        f"SHA-256 {sha256(ours)}; input SHA-256 {sha256(Path('small.png'))}). A network "
        "can blur or invent detail: not for diagnosis."
    )
    with Image.open("a.png") as image:
        assert image.info["Description"] == wanted
        assert image.info["Software"] == f"srpipe {srpipe.__version__}"
        assert image.info["Warning"] == "not for diagnosis"
    upscale_file(Path("small.png"), Path("a.tif"), method(ours, consistent=True))
    with Image.open("a.tif") as image:
        assert image.tag_v2[270] == wanted
        assert image.tag_v2[305] == f"srpipe {srpipe.__version__}"
    assert "with plain_sr_x4 (bf16; " in str(method(precision="bf16").provenance)


def test_a_file_that_fails_is_named_and_leaves_what_was_there(ours: Path) -> None:
    """Whether it cannot be read or is too small."""
    Path("text.png").write_text("<html>404</html>")
    Image.fromarray(np.zeros((2, 30), np.uint8)).save("tiny.png")
    Path("large.png").write_text("mine")
    for name, told in (
        ("text.png", "PNG, JPEG, TIFF, BMP and JPEG 2000"),
        ("tiny.png", "30x2 pixels"),
    ):
        with pytest.raises(ImageError, match=told) as caught:
            upscale_file(Path(name), Path("large.png"), method(ours))
        assert name in str(caught.value)
    assert Path("large.png").read_text() == "mine"
    assert sorted(os.listdir()) == ["large.png", "text.png", "tiny.png"]


def test_a_target_that_cannot_be_written_is_told(ours: Path, make_image: MakeImage) -> None:
    Path("small.png").write_bytes(encode_png(make_image(0, 16, 16)))
    Path("file").write_text("mine")
    with pytest.raises(OutputError, match=r"file/large\.png"):
        upscale_file(Path("small.png"), Path("file/large.png"), method(ours))
    assert Path("file").read_text() == "mine"


# ------------------------------------------------------------------ a folder


def named(folder: Path, *names: str) -> dict[str, Path]:
    """Make files of these names below a folder; return them by name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return {name: folder / name for name in names}


def test_targets_keep_folders_and_formats() -> None:
    """Only the last suffix may be another: of BMP, and of JPEG if it is to be lossless."""
    names = ("a.png", "b.JPG", "sub/c.d.tif", "sub/e.f.TIFF", "g.h.jpeg", "i.j.bmp", "k.j2c")
    files = named(Path("own"), *names)
    wanted = {name: Path("large", name) for name in names} | {"i.j.bmp": Path("large/i.j.png")}
    assert targets(files, Path("own"), Path("large")) == wanted
    wanted |= {"b.JPG": Path("large/b.png"), "g.h.jpeg": Path("large/g.h.png")}
    assert targets(files, Path("own"), Path("large"), lossless=True) == wanted


def test_the_type_is_that_of_the_content(make_image: MakeImage) -> None:
    """Of a name that lies the ending is replaced, and two do not become one."""
    image = Image.fromarray(make_image(0, 20, 24))
    for name, kind in (("a.png", "JPEG"), ("a.jpg", "PNG"), ("b.jpeg", "JPEG")):
        Path("own").mkdir(exist_ok=True)
        Path("own", name).write_bytes(saved(image, kind))
    files = {path.name: path for path in sorted(Path("own").iterdir())}
    assert targets(files, Path("own"), Path("large")) == {
        "a.png": Path("large/a.jpg"),
        "a.jpg": Path("large/a.png"),
        "b.jpeg": Path("large/b.jpeg"),
    }


@pytest.mark.parametrize("out", ["own", "own/new", "link", "link/new", "own/sub/..", "."])
def test_results_do_not_lie_among_their_images(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the folder is called by: the next run would take them for images."""
    files = named(Path("own"), "sub/a.jpg")
    Path("link").symlink_to("own")
    images = Path("own")
    if out == ".":
        monkeypatch.chdir("own")
        images, files = Path.cwd(), named(Path.cwd(), "sub/a.jpg")
    with pytest.raises(DataError, match="the next run would take results for images"):
        targets(files, images, Path(out))


def test_a_folder_beside_the_images_is_fine() -> None:
    """Also one whose name begins with theirs, and the folder above, where no image is replaced."""
    files = named(Path("own"), "a.png")
    for out in ("own-large", "."):
        assert targets(files, Path("own"), Path(out)) == {"a.png": Path(out, "a.png")}


@pytest.mark.parametrize("out", ["own", "link", "own/sub/.."])
def test_one_image_is_not_replaced_by_its_result(out: str) -> None:
    """A PNG would be; a BMP's result may lie beside it."""
    files = named(Path("own"), "a.png", "sub/x.png", "b.bmp")
    Path("link").symlink_to("own")
    with pytest.raises(DataError, match=r"a\.png is one of the images: give another folder"):
        targets({"a.png": files["a.png"]}, files["a.png"], Path(out))
    made = targets({"b.bmp": files["b.bmp"]}, files["b.bmp"], Path(out))
    assert made == {"b.bmp": Path(out, "b.png")}


def test_two_images_of_one_target_get_two() -> None:
    """The one that has another suffix keeps it."""
    files = named(Path("own"), "a.jpg", "a.png", "b.png", "sub/c.jpg", "sub/c.jpeg", "d.jpg")
    assert targets(files, Path("own"), Path("large"), lossless=True) == {
        "a.jpg": Path("large/a.jpg.png"),
        "a.png": Path("large/a.png"),
        "b.png": Path("large/b.png"),
        "sub/c.jpg": Path("large/sub/c.jpg.png"),
        "sub/c.jpeg": Path("large/sub/c.jpeg.png"),
        "d.jpg": Path("large/d.png"),
    }


# ------------------------------------------------------------------ alpha


def test_alpha_is_a_mixture_of_two_released_generators(make_image: MakeImage) -> None:
    """At its ends their pixels; files name both, and alpha."""
    lr = Values(make_image(0, 20, 24), 0, 255, 8, ())
    made = [upscale_values(lr, method(alpha=each)) for each in (0, 0.5, 1)]
    for end, name in ((0, "plain_sr_x4"), (2, "plain_sr_x4_adversarial")):
        assert np.array_equal(made[end], upscale_values(lr, method(name)))
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[2], made[1])
    provenance = method(alpha=0.25).provenance
    assert provenance.model == "plain_sr_x4 to plain_sr_x4_adversarial, alpha 0.25"
    hashes = [sha256(weights_file(name)) for name in (FIDELITY, PERCEPTION)]
    assert provenance.sha256 == " and ".join(hashes)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"weights": "plain_sr_x4", "alpha": 0.5}, "plain_sr_x4 is given as weights too"),
        ({"alpha": 1.5}, "alpha is 1.5: give a number from 0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"interval": True, "consistent": True}, "not made consistent: leave out one"),
        ({"tile": 15}, "the tile is 15 LR pixels: give at least 16"),
        ({"device": "tpu"}, "the device is 'tpu': this machine has"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        method(**given)


# ------------------------------------------------------------------ the interval


def test_the_interval_is_written_beside_the_result(make_image: MakeImage) -> None:
    """Half its width in grey values: that of `half_width`, whatever the tile, here in 12 bits."""
    lr = deep(12, 1000, 2000) + make_image(0, 24, 20).astype(np.uint16)
    Path("a.tif").write_bytes(by_tifffile(lr, extratags=[(281, 3, 1, 4095, False)]))
    low, high = int(lr.min()), int(lr.max())
    found = []
    for tile in (384, 16):
        used = method("plain_sr_x4", interval=True, tile=tile)
        upscale_file(Path("a.tif"), Path("out/a.tif"), used)
        with Image.open("out/a.tif.interval.tif") as image:
            assert "Half width of the interval, in grey values" in image.tag_v2[270]
            found.append(np.asarray(image))
    assert np.abs(found[0] - found[1]).max() < 0.01
    network = method("plain_sr_x4").network
    given = (lr - low).astype(np.float32) / np.float32(high - low)
    interval = of_record(load("plain_sr_x4").record, "plain_sr_x4")
    recorded = np.rint(given * 65535).astype(np.uint16)
    wanted = interval.half_width(network.run(given), recorded) * (high - low)
    assert found[0] == pytest.approx(wanted, rel=1e-4)


def test_weights_without_an_interval_are_told(ours: Path) -> None:
    for given in ({"weights": ours}, {"alpha": 0.5}):
        with pytest.raises(CheckpointError, match="has no calibrated interval: take released"):
            method(interval=True, **given)


# ------------------------------------------------------------------ from memory to memory


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2", ".j2k"])
def test_bytes_become_what_a_file_becomes(ours: Path, make_image: MakeImage, suffix: str) -> None:
    """To the byte; with the values that were read, and those that are in the result."""
    array = make_image(0, 20, 24).astype(np.uint16) * 257
    data = saved(Image.fromarray(array), "PNG")
    Path("small.png").write_bytes(data)
    upscale_file(Path("small.png"), Path(f"large{suffix}"), method(ours))
    made = upscale_bytes(data, "any", method(ours), suffix=suffix)
    assert made.encode() == Path(f"large{suffix}").read_bytes()
    assert np.array_equal(made.values.array, array)
    assert np.array_equal(made.sr, read_values(made.encode(), "x").array)
    with pytest.raises(ImageError, match="any has too many pixels"):
        upscale_bytes(data, "any", method(ours), most_pixels=array.size - 1)


def test_progress_is_told_before_each_tile(ours: Path, make_image: MakeImage) -> None:
    """Of an image of two by one."""
    told: list[tuple[int, int]] = []
    data = encode_png(make_image(0, 40, 20))
    upscale_bytes(
        data, "any", method(ours, tile=20), progress=lambda done, of: told.append((done, of))
    )
    assert told == [(0, 2), (1, 2)]


def test_a_result_comes_before_its_interval(make_image: MakeImage) -> None:
    """Once, with all its tiles, as it is returned but for the interval; only if it gets one."""
    data = encode_png(make_image(0, 40, 20))
    first: list[Enhanced] = []
    upscale_bytes(data, "any", method("plain_sr_x4", tile=20), early=first.append)
    assert not first
    used = method("plain_sr_x4", tile=20, interval=True)
    made = upscale_bytes(data, "any", used, early=first.append)
    assert [each.half_width for each in first] == [None]
    assert made.half_width is not None
    assert np.array_equal(first[0].sr, made.sr)
    assert first[0].encode() == made.encode()
