"""Many files: each has an output of its own, is made once, and is accounted for."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from srpipe.core.errors import DataError
from srpipe.enhance.batch import (
    FAILED,
    FINISHED,
    MADE,
    Row,
    enhance,
    plan,
    write_report,
)
from srpipe.enhance.upscale import Method, method
from srpipe.formats.raster import encode_png
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render
from srpipe.trust.range import INVERTED
from tests.conftest import MakeImage
from tests.enhance.generators import save_plain_sr
from tests.formats.radiographs import encoded, radiograph, stored
from tests.formats.written import saved

GREY = Image.fromarray(np.full((20, 24), 90, np.uint8))


def put(*names: str, make_image: MakeImage) -> None:
    for seed, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_image(seed, 20, 24)).save(name)


# ------------------------------------------------------------------ which becomes which


def test_of_several_folders_each_has_its_own(make_image: MakeImage) -> None:
    """Files beside them go into the folder itself; one folder alone goes there too."""
    put("one/a.png", "one/sub/b.png", "two/a.png", "c.png", make_image=make_image)
    made = plan([Path("one"), Path("two"), Path("c.png")], Path("out"))
    assert {str(source): str(target) for source, target in made.jobs} == {
        "one/a.png": "out/one/a.png",
        "one/sub/b.png": "out/one/sub/b.png",
        "two/a.png": "out/two/a.png",
        "c.png": "out/c.png",
    }
    assert plan([Path("one")], Path("out")).jobs[0] == (Path("one/a.png"), Path("out/a.png"))


def test_files_of_one_name_are_refused_but_the_first(make_image: MakeImage) -> None:
    """By name; a file that is given twice is made once."""
    put("one/a.png", "two/a.png", make_image=make_image)
    made = plan([Path("one/a.png"), Path("two/a.png"), Path("one/a.png")], Path("out"))
    assert made.jobs == [(Path("one/a.png"), Path("out/a.png"))]
    (row,) = made.refused
    assert (row.input, row.status) == ("two/a.png", FAILED)
    assert "one/a.png becomes out/a.png already" in row.reason


def test_a_file_is_no_place_for_results(make_image: MakeImage) -> None:
    """Told before anything is made."""
    put("one/a.png", make_image=make_image)
    Path("taken").touch()
    with pytest.raises(DataError, match="--out: taken is a file: give a folder"):
        plan([Path("one")], Path("taken"))


def test_an_input_is_never_an_output(make_image: MakeImage) -> None:
    """Also where it is that of another input."""
    put("one/a.png", "out/a.png", make_image=make_image)
    with pytest.raises(DataError, match=r"out/a\.png is one of the images"):
        plan([Path("one/a.png"), Path("out/a.png")], Path("out"))
    with pytest.raises(DataError, match=r"one/a\.png is one of the images"):
        plan([Path("one/a.png")], Path("one/a.png"))


def test_one_image_may_be_given_a_file(our_method: Method, make_image: MakeImage) -> None:
    """Whose ending decides the type; several images, and what cannot be, are refused."""
    put("own/a.jpg", make_image=make_image)
    Path("own/b.dcm").write_bytes(encoded(radiograph(stored(12), 12)))
    jpeg, dicom = Path("own/a.jpg"), Path("own/b.dcm")
    for source, name in ((jpeg, "large.png"), (jpeg, "x/large.TIF"), (dicom, "large.dicom")):
        made = plan([source], Path(name))
        assert made.jobs == [(source, Path(name))]
        assert [row.status for row in enhance(made.jobs, our_method)] == [MADE]
        assert [row.status for row in enhance(made.jobs, our_method)] == [FINISHED]
    with Image.open("x/large.TIF") as image:
        assert image.format == "TIFF"
    for inputs, name, told in (
        ([jpeg, dicom], "large.png", "large.png has the name of a file, for one image"),
        ([Path("own")], "other.png", "other.png has the name of a file, for one image"),
        ([jpeg], "large.bmp", "large.bmp could not say how it was made: give a .png"),
        ([jpeg], "large.dcm", "own/a.jpg cannot be written so"),
        ([dicom], "other.png", "own/b.dcm cannot be written so"),
    ):
        with pytest.raises(DataError, match=told):
            plan(inputs, Path(name))


# ------------------------------------------------------------------ what is there already

IMAGES = ("a.png", "b.tif", "c.jpg", "d.jp2", "e.j2k", "f.bmp")


def test_what_is_finished_is_not_made_again(our_method: Method, make_image: MakeImage) -> None:
    """In all formats; another input, other settings and other weights are not finished, and what is
    there is kept, unless overwriting is asked for.
    """
    put(*(f"own/{name}" for name in IMAGES), make_image=make_image)
    Path("own/z.dcm").write_bytes(encoded(radiograph(stored(12), 12)))
    jobs = plan([Path("own")], Path("out")).jobs
    count = len(IMAGES) + 1
    assert [row.status for row in enhance(jobs, our_method)] == [MADE] * count
    before = {target: target.stat().st_ino for _, target in jobs}
    assert [row.status for row in enhance(jobs, our_method)] == [FINISHED] * count
    consistent = method(save_plain_sr(Path("ours.pt")), consistent=True, device="cpu")
    other = method(save_plain_sr(Path("other.pt"), seed=1), device="cpu")
    for used in (consistent, other):
        rows = list(enhance(jobs, used))
        assert [row.status for row in rows] == [FAILED] * count
        assert (
            "own/a.png: out/a.png is there and was not made from it in this way" in rows[0].reason
        )
    put(*(f"own/{name}" for name in reversed(IMAGES)), make_image=make_image)
    kept = [FAILED] * len(IMAGES) + [FINISHED]
    assert [row.status for row in enhance(jobs, our_method)] == kept
    assert {target: target.stat().st_ino for _, target in jobs} == before
    assert [row.status for row in enhance(jobs, our_method, overwrite=True)] == [MADE] * count
    assert [row.status for row in enhance(jobs, our_method)] == [FINISHED] * count


def test_an_image_that_is_added_later_replaces_no_result(
    our_method: Method, make_image: MakeImage
) -> None:
    """One of the same stem: where types are kept, only it is made. Where its name is taken by the
    result of another, that is told, and the other gets its longer name; --overwrite gives both
    theirs.
    """

    def run(*, lossless: bool, overwrite: bool = False) -> list[tuple[str, str, str]]:
        jobs = plan([Path("own")], Path("out"), lossless=lossless).jobs
        rows = enhance(jobs, our_method, overwrite=overwrite)
        return [(Path(row.input).name, Path(row.output).name, row.status) for row in rows]

    put("own/c.jpg", make_image=make_image)
    assert run(lossless=False) == [("c.jpg", "c.jpg", MADE)]
    assert run(lossless=True) == [("c.jpg", "c.png", MADE)]
    taken = Path("out/c.png").read_bytes()
    Image.fromarray(make_image(1, 20, 24)).save("own/c.png")
    assert run(lossless=True) == [("c.jpg", "c.jpg.png", MADE), ("c.png", "c.png", FAILED)]
    assert Path("out/c.png").read_bytes() == taken == Path("out/c.jpg.png").read_bytes()
    both = [("c.jpg", "c.jpg.png"), ("c.png", "c.png")]
    assert run(lossless=True, overwrite=True) == [(*each, MADE) for each in both]
    assert run(lossless=True) == [(*each, FINISHED) for each in both]
    Path("out/c.png").unlink()
    assert run(lossless=False) == [("c.jpg", "c.jpg", FINISHED), ("c.png", "c.png", MADE)]
    assert run(lossless=False) == [("c.jpg", "c.jpg", FINISHED), ("c.png", "c.png", FINISHED)]


def test_another_version_counts_as_finished(
    our_method: Method, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights decide, not the program."""
    put("a.png", make_image=make_image)
    monkeypatch.setattr("srpipe.__version__", "99.1")
    jobs = [(Path("a.png"), Path("out/a.png"))]
    former = method(save_plain_sr(Path("ours.pt")), device="cpu")
    assert former.provenance.version == "99.1"
    assert [row.status for row in enhance(jobs, former)] == [MADE]
    assert [row.status for row in enhance(jobs, our_method)] == [FINISHED]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"mine",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"\xff\xd8\xff\xe1",
        saved(GREY, "JPEG"),
        saved(GREY, "JPEG", exif=b"Exif\0\0II*\0no tags"),
        saved(GREY, "JPEG2000"),
        saved(GREY, "JPEG2000")[:50],
        saved(GREY, "JPEG2000", comment=b"\xff\xfe"),
        bytes(128) + b"DICM",
    ],
)
def test_a_file_of_someone_else_is_kept(
    our_method: Method, make_image: MakeImage, content: bytes
) -> None:
    """Whatever it is; the others are made."""
    put("own/a.png", "own/b.png", make_image=make_image)
    Path("out").mkdir()
    Path("out/a.png").write_bytes(content)
    rows = list(enhance(plan([Path("own")], Path("out")).jobs, our_method))
    assert [row.status for row in rows] == [FAILED, MADE]
    assert "--overwrite replaces it" in rows[0].reason
    assert Path("out/a.png").read_bytes() == content


def test_a_result_without_its_interval_is_not_finished(make_image: MakeImage) -> None:
    """Where the interval is asked for."""
    put("a.png", make_image=make_image)
    jobs = [(Path("a.png"), Path("out/a.png"))]
    assert [row.status for row in enhance(jobs, method("plain_sr_x4", device="cpu"))] == [MADE]
    wide = method("plain_sr_x4", device="cpu", interval=True)
    assert [row.status for row in enhance(jobs, wide)] == [MADE]
    assert [row.status for row in enhance(jobs, wide)] == [FINISHED]
    assert Path("out/a.png.interval.tif").exists()


# ------------------------------------------------------------------ the figures


def test_an_interval_of_a_former_result_is_made_again(make_image: MakeImage) -> None:
    """What lies beside a result may be of weights or settings that made another one before."""
    Path("a.png").write_bytes(encode_png(make_image(0, 20, 24)))
    jobs = plan([Path("a.png")], Path("out")).jobs
    first = method("plain_sr_x4", device="cpu", interval=True)
    assert [row.status for row in enhance(jobs, first)] == [MADE]
    other = method("plain_sr_x4", device="cpu", precision="bf16")
    assert [row.status for row in enhance(jobs, other, overwrite=True)] == [MADE]
    both = method("plain_sr_x4", device="cpu", precision="bf16", interval=True)
    assert [row.status for row in enhance(jobs, both)] == [MADE]
    assert [row.status for row in enhance(jobs, both)] == [FINISHED]


def test_added_detail_is_written_beside_a_result(our_method: Method, make_image: MakeImage) -> None:
    """As large, in its grey values; not made again if it is there, and made if it is not."""
    put("own/a.png", make_image=make_image)
    jobs = [(Path("own/a.png"), Path("out/a.png"))]
    (row,) = enhance(jobs, our_method, added=True)
    with Image.open("out/a.png.added.tif") as file:
        detail = np.asarray(file)
        assert "Detail that the input does not determine" in file.tag_v2[270]
    assert (row.status, detail.dtype, detail.shape) == (MADE, np.float32, (row.height, row.width))
    assert 0 < (row.added or 0) < 1
    assert [each.status for each in enhance(jobs, our_method, added=True)] == [FINISHED]
    Path("out/a.png.added.tif").unlink()
    assert [each.status for each in enhance(jobs, our_method)] == [FINISHED]
    assert [each.status for each in enhance(jobs, our_method, added=True)] == [MADE]


@pytest.mark.parametrize("kind", ["a.png", "a.tif", "a.jpg", "a.bmp"])
def test_maps_have_the_size_of_their_result(make_image: MakeImage, kind: str) -> None:
    """Pixels as many times smaller than the input's, where it says; across is not down."""
    image, form = Image.fromarray(make_image(0, 20, 24)), {"png": "PNG", "tif": "TIFF"}
    form |= {"jpg": "JPEG", "bmp": "BMP"}
    Path(kind).write_bytes(saved(image, form[kind[-3:]], dpi=(100, 50)))
    Path("none.png").write_bytes(saved(image, "PNG"))
    jobs = [*plan([Path(kind)], Path("out")).jobs, (Path("none.png"), Path("out/none.png"))]
    list(enhance(jobs, method("plain_sr_x4", device="cpu", interval=True), added=True))
    for ending in ("interval.tif", "added.tif"):
        with Image.open(f"{jobs[0][1]}.{ending}") as found:
            assert found.info["dpi"] == pytest.approx((400, 200), rel=1e-3)
        with Image.open(f"out/none.png.{ending}") as found:
            assert not {282, 283} & found.tag_v2.keys()  # Pillow says 1 dpi where nothing is said


def test_maps_go_with_their_result(our_method: Method, make_image: MakeImage) -> None:
    """One of other settings has none of theirs beside it; files of others stay, and what fails
    takes nothing away.
    """
    Path("own").mkdir()
    Path("own/a.png").write_bytes(encode_png(make_image(0, 20, 24)))
    Path("own/b.dcm").write_bytes(encoded(radiograph(make_image(1, 20, 24), 8)))
    jobs = plan([Path("own")], Path("out")).jobs
    wide = method("plain_sr_x4", device="cpu", interval=True)
    list(enhance(jobs, wide, added=True))
    maps = ["a.png.added.tif", "a.png.interval.tif", "b.dcm.added.dcm", "b.dcm.interval.dcm"]
    assert sorted(path.name for path in Path("out").glob("*.*.*.*")) == maps
    assert [row.status for row in enhance(jobs, our_method)] == [FAILED, FAILED]
    assert sorted(path.name for path in Path("out").glob("*.*.*.*")) == maps
    Path("out/a.png.added.tif").write_bytes(saved(Image.new("F", (2, 2)), "TIFF"))
    list(enhance(jobs, our_method, overwrite=True))
    assert [path.name for path in Path("out").glob("*.*.*.*")] == ["a.png.added.tif"]


def test_a_folder_without_images_does_not_stop_the_others(make_image: MakeImage) -> None:
    """It is told as what failed; alone it is refused, as is a name that is not there."""
    put("own/a.png", make_image=make_image)
    Path("none").mkdir()
    planned = plan([Path("none"), Path("own")], Path("out"))
    assert [source.as_posix() for source, _ in planned.jobs] == ["own/a.png"]
    (row,) = planned.refused
    assert (row.input, row.status) == ("none", FAILED)
    assert "none holds no image" in row.reason
    for alone in ([Path("none")], [Path("own"), Path("gone")]):
        with pytest.raises(DataError, match=r"holds no image|does not exist"):
            plan(alone, Path("out"))


def test_maps_are_no_images_of_a_folder(make_image: MakeImage) -> None:
    """Results that are enhanced again leave them out, and count them."""
    for name in ("a.png", "b.tif"):
        Image.fromarray(make_image(0, 20, 24)).save(name)
    jobs = plan([Path("a.png"), Path("b.tif")], Path("out")).jobs
    list(enhance(jobs, method("plain_sr_x4", device="cpu", interval=True), added=True))
    again = plan([Path("out")], Path("larger"))
    assert [source.name for source, _ in again.jobs] == ["a.png", "b.tif"]
    (listing,) = again.listings.values()
    assert {kind: len(names) for kind, names in listing.left_out.items()} == {"map of a result": 4}


def test_what_is_out_of_range_is_told(our_method: Method) -> None:
    """Whatever the depth; not of what was finished before, which is not looked at again."""
    chest = render(Exposure(1, 0, 14), 256)
    Path("a.png").write_bytes(encode_png(chest))
    Path("b.png").write_bytes(encode_png(np.ascontiguousarray(chest[::-1, ::-1])))
    Path("c.dcm").write_bytes(encoded(radiograph(4095 - 16 * chest.astype(np.uint16), 12)))
    jobs = [(Path(name), Path("out", name)) for name in ("a.png", "b.png", "c.dcm")]
    assert [row.range for row in enhance(jobs, our_method)] == ["", "looks upside down", INVERTED]
    assert [row.range for row in enhance(jobs, our_method)] == ["", "", ""]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".jp2", ".dcm"])
def test_a_result_that_is_enhanced_again_is_told(our_method: Method, suffix: str) -> None:
    """It is made all the same; the network takes what it made up for the radiograph's."""
    chest = render(Exposure(1, 0, 14), 256)
    source = Path("a.dcm" if suffix == ".dcm" else "a.png")
    data = encoded(radiograph(chest, 8)) if suffix == ".dcm" else encode_png(chest)
    source.write_bytes(data)
    (first,) = enhance([(source, Path(f"b{suffix}"))], our_method)
    (second,) = enhance([(Path(f"b{suffix}"), Path(f"c{suffix}"))], our_method)
    assert (first.range, second.range) == ("", "super-resolved by srpipe before")
    assert second.status == "made"


@pytest.mark.parametrize("kind", [b"XX", b"FD"])
def test_a_damaged_dicom_file_in_the_place_of_a_result_is_told(
    our_method: Method, kind: bytes
) -> None:
    """It is kept, and no reason to stop."""
    data = encoded(
        radiograph(render(Exposure(1, 0, 14), 256), 8, DerivationDescription="0123456789")
    )
    tag = b"\x08\x00\x11\x21"
    assert tag + b"ST" in data
    Path("a.dcm").write_bytes(data)
    damaged = data.replace(tag + b"ST", tag + kind)
    Path("out").mkdir()
    Path("out/a.dcm").write_bytes(damaged)
    (row,) = enhance([(Path("a.dcm"), Path("out/a.dcm"))], our_method)
    assert row.status == "failed"
    assert "is there and was not made from it" in row.reason
    assert Path("out/a.dcm").read_bytes() == damaged


def test_other_words_in_a_file_are_no_sign_of_a_result(our_method: Method) -> None:
    """Another program's description, in PNG and in DICOM."""
    chest = render(Exposure(1, 0, 14), 256)
    texts = PngInfo()
    texts.add_text("Description", "Super-resolved by hand")
    Image.fromarray(chest).save("a.png", pnginfo=texts)
    derived = radiograph(chest, 8, DerivationDescription="Lossy compression")
    Path("b.dcm").write_bytes(encoded(derived))
    jobs = [(Path(name), Path("out", name)) for name in ("a.png", "b.dcm")]
    assert [row.range for row in enhance(jobs, our_method)] == ["", ""]


def test_a_report_keeps_what_was_measured_of_finished_files(
    our_method: Method, make_image: MakeImage
) -> None:
    """Of a folder that was gone on with; what is made anew, or fails now, is told as it is now."""
    put("own/=a.png", make_image=make_image)
    put("own/b.png", make_image=make_image)
    jobs = plan([Path("own")], Path("out")).jobs
    path = Path("report.csv")
    write_report(path, list(enhance(jobs, our_method, figures=True)))
    before = _read(path)
    Path("own/b.png").write_text("<html>")
    for _ in range(2):
        write_report(path, list(enhance(jobs, our_method, figures=True)))
        after = _read(path)
        assert after[0] == before[0] | {"status": "finished"}
        assert (after[1]["status"], after[1]["lr_psnr"]) == ("failed", "")
    write_report(path, list(enhance(jobs[:1], our_method, figures=True, overwrite=True)))
    assert _read(path)[0]["status"] == "made"


def test_a_report_from_before_a_result_says_nothing_of_it(
    our_method: Method, make_image: MakeImage
) -> None:
    """As after --overwrite with other weights and without a report."""
    put("own/a.png", make_image=make_image)
    jobs = plan([Path("own")], Path("out")).jobs
    path = Path("report.csv")
    write_report(path, list(enhance(jobs, our_method, figures=True)))
    later = path.stat().st_mtime + 1
    os.utime("out/a.png", (later, later))
    write_report(path, list(enhance(jobs, our_method, figures=True)))
    (row,) = _read(path)
    assert (row["status"], row["lr_psnr"]) == ("finished", "")


@pytest.mark.parametrize("former", [b"", b"a,b\n1,2\n", b"\x00\xff", b'"' + b"x" * 200_000])
def test_another_file_in_the_place_of_a_report_is_no_report(former: bytes) -> None:
    """Nothing is taken from it."""
    path = Path("report.csv")
    path.write_bytes(former)
    write_report(path, [Row("a.png", "out/a.png", FINISHED)])
    assert [(row["input"], row["width"]) for row in _read(path)] == [("a.png", "")]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_has_a_row_a_file(our_method: Method, make_image: MakeImage) -> None:
    put("own/a.png", make_image=make_image)
    Path("own/b.png").write_text("<html>")
    rows = list(enhance(plan([Path("own")], Path("out")).jobs, our_method, figures=True))
    write_report(Path("report.csv"), [*rows, Row("c, d.png", "out/c.png", FINISHED)])
    with Path("report.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["input"], row["status"]) for row in found] == [
        ("own/a.png", "made"),
        ("own/b.png", "failed"),
        ("c, d.png", "finished"),
    ]
    first = found[0]
    assert (first["width"], first["height"], first["scale"]) == ("96", "80", "4")
    assert 20 < float(first["lr_psnr"]) < 100
    assert 0 < float(first["added"]) < 1
    assert float(first["noise"]) > 0
    assert first["range"].startswith("small: 24x20 pixels, plain_sr_x4 was trained on 256x256")
    assert found[1]["range"] == ""
    assert float(first["seconds"]) > 0
    assert "own/b.png is no image" in found[1]["reason"]
