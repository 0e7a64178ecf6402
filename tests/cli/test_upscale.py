"""`srpipe upscale` enhances what it is given, and says in one message what is wrong."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage, CTImageStorage, MediaStorageDirectoryStorage

from srpipe.cli.main import main
from srpipe.formats.raster import encode_png, read_file
from srpipe.imaging.resample import downsample
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve
from srpipe.models.released import weights_file
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render
from srpipe.trust.range import INVERTED
from tests.cli.conftest import Refused
from tests.conftest import MakeImage
from tests.formats.radiographs import encoded, radiograph, stored
from tests.memory import limited
from tests.mixed import MIXED_LEFT_OUT, put_mixed


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, make_image: MakeImage) -> Path:
    """Return a folder of LR images: a PNG, a JPEG and one in a folder below; and a text."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "sub").mkdir()
    for seed, name in enumerate(("a.png", "b.JPG", "sub/c.d.png")):
        image = Image.fromarray(make_image(seed, 20, 24 + seed))
        image.save(folder / name)
    (folder / "notes.txt").write_text("not read")
    return folder


def upscaled(folder: Path) -> dict[str, Any]:
    """Return all files below a folder, as images by their path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with Image.open(path) as image:
                wanted = "PNG" if path.suffix == ".png" else "JPEG"
                assert (image.format, image.mode) == (wanted, "L")
                found[path.relative_to(folder).as_posix()] = np.asarray(image)
    return found


@pytest.mark.parametrize("consistent", [False, True])
def test_a_folder_is_upscaled(
    ours: Path, small: Path, consistent: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each image to an 8-bit grey one at its place in the other folder: what the generator makes of
    it, and with --consistent what downsamples to it; where it is JPEG, but for a grey level or two.
    """
    more = ["--consistent"] if consistent else []
    main(["upscale", "--weights", str(ours), "--images", str(small), "--out", "large", *more])
    said = f"3 image(s) in large, 4 times as large each way, by {ours} on cpu\n"
    assert capsys.readouterr().out == said
    found = upscaled(Path("large"))
    assert list(found) == ["a.png", "b.JPG", "sub/c.d.png"]
    model = load_generator(ours).model
    for name in found:
        lr = read_file(small / name, "minmax")
        wanted = super_resolve(model, lr, consistent=consistent)
        lost = np.abs(found[name].astype(int) - wanted)
        assert (0 < lost.mean() < 2) if name == "b.JPG" else not lost.any()
        off = np.abs(downsample(found[name], 4).astype(int) - lr)
        assert ((off > 1).mean() < 0.01) == consistent


def test_one_image_is_upscaled(weights: Path, small: Path) -> None:
    """To the bytes that it has in the folder."""
    for images, out in ((small, "all"), (small / "sub/c.d.png", "one")):
        main(["upscale", "--weights", str(weights), "--images", str(images), "--out", out])
    assert list(upscaled(Path("one"))) == ["c.d.png"]
    assert Path("one/c.d.png").read_bytes() == Path("all/sub/c.d.png").read_bytes()


def test_jpeg_becomes_png_if_asked(weights: Path, small: Path) -> None:
    """By --lossless in a folder, or by the name of its file."""
    given = ["upscale", "--weights", str(weights)]
    main([*given, str(small), "-o", "large", "--lossless"])
    main([*given, str(small / "b.JPG"), "-o", "one.png"])
    assert list(upscaled(Path("large"))) == ["a.png", "b.png", "sub/c.d.png"]
    assert Path("one.png").read_bytes() == Path("large/b.png").read_bytes()


def test_the_released_generator_is_the_default(small: Path) -> None:
    """The repository's, wherever the command is given."""
    main(["upscale", "--images", str(small / "a.png"), "--out", "large"])
    released = load_generator(weights_file("plain_sr_x4"))
    wanted = super_resolve(released.model, read_file(small / "a.png", "minmax"))
    assert np.array_equal(upscaled(Path("large"))["a.png"], wanted)


@pytest.mark.parametrize(
    "given", ["gone.pt", "plain_sr_x8", "models/released/plain_sr_x4.safetensors"]
)
def test_weights_that_are_not_there(small: Path, refused: Refused, given: str) -> None:
    """The message names the file, and the released models that there are."""
    message = refused("upscale", "--images", small / "a.png", "--out", "large", "--weights", given)
    assert f"{given} does not exist" in message
    assert "plain_sr_x4, plain_sr_x4_adversarial" in message
    assert not Path("large").exists()


@pytest.mark.parametrize("images", ["own", "own/a.png"])
@pytest.mark.parametrize("out", ["own", "link", "own/sub/.."])
def test_inputs_are_not_overwritten(
    weights: Path, small: Path, refused: Refused, images: str, out: str
) -> None:
    """Whatever the folder is called by; nothing is written."""
    shutil.copytree(small, "own")
    Path("link").symlink_to("own")
    before = {path: path.read_bytes() for path in Path("own").rglob("*") if path.is_file()}
    message = refused("upscale", "--weights", weights, "--images", images, "--out", out)
    inside = "a.png is one of the images: give another folder"
    assert (
        inside if images == "own/a.png" else "the next run would take results for images"
    ) in message
    after = {path: path.read_bytes() for path in Path("own").rglob("*") if path.is_file()}
    assert after == before


def test_bad_images_are_named_and_the_rest_is_done(
    ours: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cut files of six: four results, both named with the reason, exit code 1; of a bad one
    nothing is written, not even a part.
    """
    Path("own").mkdir()
    for number in range(6):
        data = encode_png(make_image(number, 40, 40))
        Path(f"own/p{number}.png").write_bytes(data[:400] if number in (1, 3) else data)
    with pytest.raises(SystemExit) as caught:
        main(["upscale", "--weights", str(ours), "--images", "own", "--out", "large"])
    assert caught.value.code == 1
    shown = capsys.readouterr()
    assert "4 image(s) in large, 4 times as large" in shown.out
    message = shown.err[shown.err.index("error: ") :].splitlines()
    assert message[0] == "error: not made: 2 of 6 images:"
    assert [line.split(" is damaged: ")[0] for line in message[1:]] == [
        "  own/p1.png",
        "  own/p3.png",
    ]
    assert list(upscaled(Path("large"))) == ["p0.png", "p2.png", "p4.png", "p5.png"]


def test_many_bad_images_are_counted(refused: Refused, ours: Path) -> None:
    """Ten are named with their reasons, the others only counted, where no report names them; an
    only one is named alone.
    """
    Path("own").mkdir()
    for number in range(12):
        Path(f"own/p{number:02}.png").write_text("<html>404</html>")
    message = refused("upscale", "--weights", ours, "--images", "own", "--out", "large")
    assert message.startswith("error: not made: 12 of 12 images:\n  own/p00.png is no image")
    assert message.endswith("\n  and 2 more\n(--report names all)")
    assert message.count("own/p") == 10
    only = refused("upscale", "--weights", ours, "--images", "own/p03.png", "--out", "large")
    assert only.startswith("error: own/p03.png is no image")
    assert not Path("large").exists()


def test_a_mixed_folder(
    ours: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of less usual endings are made; the end counts the other files by kind, and names
    them. What is DICOM by its beginning alone is told as damaged.
    """
    put_mixed(Path("own"), make_image)
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["upscale", "--weights", str(ours), "--images", "own", "--out", "large"])
    assert list(upscaled(Path("large"))) == ["a.png", "b.jfif", "e.jpe"]
    left_out = MIXED_LEFT_OUT.replace("3 file", "2 file").removesuffix("; 1 DICOM (IM-0001)")
    shown = capsys.readouterr()
    assert shown.out == (
        f"3 image(s) in large, 4 times as large each way, by {ours} on cpu; {left_out}\n"
    )
    assert "error: not made: 1 of 4 images:\n  own/IM-0001 is damaged" in shown.err


def test_radiographs_as_hospitals_have_them(
    ours: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """DICOM becomes DICOM, whatever its name ends in, also beside images; a CT is named, and stops
    no other.
    """
    Path("own/1.2.840").mkdir(parents=True)
    array = stored(12)
    Path("own/1.2.840/1.2.3").write_bytes(encoded(radiograph(array, 12)))
    Path("own/b.DCM").write_bytes(encoded(radiograph(array, 12)))
    Path("own/c.dcm").write_bytes(encoded(radiograph(array, 12, SOPClassUID=CTImageStorage)))
    Path("own/d.png").write_bytes(encode_png(make_image(0, 20, 24)))
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["upscale", "--weights", str(ours), "--images", "own", "--out", "large"])
    assert "not made: 1 of 4 images:\n  own/c.dcm is of the" in capsys.readouterr().err
    found = {path.as_posix() for path in Path("large").rglob("*") if path.is_file()}
    assert found == {"large/1.2.840/1.2.3.dcm", "large/b.DCM", "large/d.png"}
    made = dcmread("large/1.2.840/1.2.3.dcm")
    assert (made.Rows, made.Columns, made.BitsStored) == (80, 96, 12)
    assert Path("large/b.DCM").read_bytes() == Path("large/1.2.840/1.2.3.dcm").read_bytes()


def test_a_whole_study_is_enhanced(
    ours: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it holds besides images is counted by kind and named, and is no failure; where it is
    named itself, or alone, it is.
    """
    Path("study").mkdir()
    Path("study/IM1").write_bytes(encoded(radiograph(stored(12), 12)))
    for name, kind in (("SR1", BasicTextSRStorage), ("DICOMDIR", MediaStorageDirectoryStorage)):
        other = radiograph(stored(12), 12, SOPClassUID=kind, PixelData=None)
        Path("study", name).write_bytes(encoded(other))
    common = ["upscale", "-o", "large", "--weights", str(ours)]
    main([*common, "study"])
    others = "1 DICOM Basic Text SR (SR1); 1 DICOM Media Storage Directory (DICOMDIR)"
    told = f"2 file(s) are not read: {others}"
    shown = capsys.readouterr()
    assert (
        shown.out == f"1 image(s) in large, 4 times as large each way, by {ours} on cpu; {told}\n"
    )
    assert f"warning: study: {told}" in shown.err
    assert "is of the SOP class Basic Text SR Storage" in refused(*common, "study/SR1")
    Path("study/IM1").unlink()
    assert refused(*common, "study").endswith(f"and DICOM; it holds {others}")


def test_dicom_without_its_extra_says_what_to_install(
    ours: Path, small: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message, for a file and for a folder of nothing else; beside images it is counted."""
    Path("own").mkdir()
    for name in ("a", "b.dcm"):
        Path("own", name).write_bytes(encoded(radiograph(stored(12), 12)))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    install = "pip install '.[dicom]'"
    for images in ("own", "own/a"):
        message = refused("upscale", "--weights", ours, "--images", images, "--out", "large")
        assert install in message
        assert len(message.splitlines()) == 1
    assert not Path("large").exists()
    shutil.copy(small / "a.png", "own")
    main(["upscale", "--weights", str(ours), "--images", "own", "--out", "large"])
    assert [path.name for path in Path("large").iterdir()] == ["a.png"]


def test_the_depth_is_kept_unless_8_bits_are_asked_for(ours: Path) -> None:
    """By --sixteen-bit, as for the pipeline."""
    array = stored(16).astype(np.uint16)
    Image.fromarray(array).save("deep.png")
    for more, mode in (([], "I;16"), (["--sixteen-bit", "minmax", "--overwrite"], "L")):
        main(["upscale", "--weights", str(ours), "--images", "deep.png", "--out", "large", *more])
        with Image.open("large/deep.png") as image:
            assert (image.mode, image.size) == (mode, (96, 80))


def test_an_out_that_is_a_file_is_refused(weights: Path, small: Path, refused: Refused) -> None:
    """It stays as it was."""
    Path("large").write_text("mine")
    message = refused("upscale", "--weights", weights, "--images", small, "--out", "large")
    assert "large" in message
    assert Path("large").read_text() == "mine"


def test_several_inputs_are_accounted_for(
    ours: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made, finished before, failed, not read; the report has a row for each that is an image."""
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Path(folder, "a.png").write_bytes(encode_png(make_image(0, 20, 24)))
    common = ["upscale", "--weights", str(ours), "-o", "large", "--report", "large.csv"]
    main([*common, "one", "--images", "two", "--quiet", "--device", "cpu"])
    assert capsys.readouterr() == ("", "")
    Path("two/b.gif").touch()
    Path("two/bad.png").write_text("<html>")
    with pytest.raises(SystemExit, match=r"^1$"):
        main([*common, "one", "two"])
    shown = capsys.readouterr()
    assert shown.out == (
        f"0 image(s) in large, 4 times as large each way, by {ours} on cpu; 2 more were finished "
        "before; 1 file(s) are not read: 1 .gif (b.gif)\n"
    )
    assert "error: not made: 1 of 3 images:\n  two/bad.png is no image" in shown.err
    with Path("large.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["input"], row["status"]) for row in csv.DictReader(file)]
    assert rows == [
        ("one/a.png", "finished"),
        ("two/a.png", "finished"),
        ("two/bad.png", "failed"),
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "no image is given: srpipe upscale IN... -o OUT"),
        (["gone"], "IN: gone does not exist"),
        (["a.png", "--report", "."], "--report: . is a folder: give the name of a CSV file"),
        (["a.png", "--tile", "8"], "the tile is 8 LR pixels: give at least 16"),
        (["a.png", "--device", "tpu"], "the device is 'tpu'"),
        (["a.png", "--alpha", "0.5", "--weights", "plain_sr_x4"], "leave out one"),
        (["a.png", "--interval", "--alpha", "0.5"], "has no calibrated interval"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    given: list[str], told: str, refused: Refused, make_image: MakeImage
) -> None:
    Path("a.png").write_bytes(encode_png(make_image(0, 20, 24)))
    assert told in refused("upscale", *given, "-o", "large")
    assert not Path("large").exists()


def test_alpha_and_interval_are_followed(make_image: MakeImage) -> None:
    """What files say tells alpha; the interval lies beside its result."""
    Path("a.png").write_bytes(encode_png(make_image(0, 20, 24)))
    main(["upscale", "a.png", "-o", "mixed", "--alpha", "0.25", "--tile", "16"])
    with Image.open("mixed/a.png") as image:
        assert "plain_sr_x4_adversarial, alpha 0.25 (fp32" in image.info["Description"]
    main(["upscale", "a.png", "-o", "wide", "--interval"])
    assert {path.name for path in Path("wide").iterdir()} == {"a.png", "a.png.interval.tif"}


def test_what_is_out_of_range_is_warned_of(
    ours: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line a file, and in the report; the file is made all the same. --quiet keeps to the
    report.
    """
    chest = render(Exposure(1, 0, 14), 256)
    Path("own").mkdir()
    Path("own/a.png").write_bytes(encode_png(chest))
    Path("own/b.png").write_bytes(encode_png(255 - chest))
    common = ["upscale", "own", "-o", "large", "--weights", str(ours), "--report", "large.csv"]
    main(common)
    shown = capsys.readouterr()
    warned = [line for line in shown.err.splitlines() if "warning" in line]
    assert warned == [f"warning: own/b.png: {INVERTED}"]
    assert "2 image(s) in large" in shown.out
    main([*common, "--quiet", "--overwrite"])
    assert capsys.readouterr() == ("", "")
    with Path("large.csv").open(encoding="utf-8", newline="") as file:
        assert [row["range"] for row in csv.DictReader(file)] == ["", INVERTED]


def test_a_terminal_sees_how_far_an_image_is(
    ours: Path,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By parts, if it has several; a log does not."""
    Path("a.png").write_bytes(encode_png(make_image(0, 32, 32)))
    common = ["upscale", "a.png", "-o", "large", "--weights", str(ours), "--tile", "16"]
    main(common)
    assert "part" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main([*common, "--overwrite"])
    told = re.findall(r"part \d of \d", capsys.readouterr().err)
    assert list(dict.fromkeys(told)) == [f"part {each} of 4" for each in range(1, 5)]


ENDLESS = """
import signal, sys, time
from pathlib import Path
from srpipe.cli.main import main
# As in a terminal: what runs in the background may have Ctrl-C ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)
write = Path.write_bytes
def slow(self, data):
    written = write(self, data)
    if self.name.startswith(".b"):
        print("half", flush=True)
        time.sleep(600)
    return written
Path.write_bytes = slow
main(sys.argv[1:])
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_half_file(ours: Path, make_image: MakeImage, how: signal.Signals) -> None:
    """By Ctrl-C and by kill, while a file is written: results before it stay, the report too."""
    for number, name in enumerate("abc"):
        Path("own").mkdir(exist_ok=True)
        Path(f"own/{name}.png").write_bytes(encode_png(make_image(number, 20, 24)))
    arguments = ["upscale", "own", "-o", "large", "--weights", str(ours), "--report", "large.csv"]
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("stopped; nothing half-written was left\n")
    assert "Traceback" not in said
    assert [path.name for path in Path("large").iterdir()] == ["a.png"]
    assert Path("large.csv").read_text().count("\n") == 2


def test_a_hard_kill_leaves_no_half_result(ours: Path, make_image: MakeImage) -> None:
    """What lies under the name of a result is one, of any type; the same command makes the rest."""
    Path("own").mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg", "c.jp2")):
        Image.fromarray(make_image(number, 20, 24)).save(Path("own", name))
    arguments = ["upscale", "own", "-o", "large", "--weights", str(ours)]
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.communicate(timeout=60)
    assert [path.name for path in Path("large").iterdir() if path.name[0] != "."] == ["a.jpg"]
    first = Path("large/a.jpg").stat().st_ino
    main(arguments)
    assert {path.name for path in Path("large").glob("[!.]*")} == {"a.jpg", "b.jpg", "c.jp2"}
    assert Path("large/a.jpg").stat().st_ino == first


@pytest.mark.parametrize(
    ("weights", "spare"), [("swift_srgan_x4", 500_000_000), ("plain_sr_x4", 48_000_000)]
)
def test_an_image_too_large_for_the_memory(tmp_path: Path, weights: str, spare: int) -> None:
    """One message: which image, how much was wanted, what helps, and what size if it was the
    network that wanted it (how much that wants depends on the CPU); the others are made.

    In a process of its own, with that many bytes to spare.
    """
    (tmp_path / "small").mkdir()
    for name, side in (("a.png", 32), ("b.png", 384), ("c.png", 32)):
        Image.fromarray(np.full((side, side), 90, np.uint8)).save(tmp_path / "small" / name)
    arguments = ["upscale", "--images", "small", "--out", "large", "--weights", weights]
    done = limited(
        "import numpy as np\n"
        "from srpipe.cli.main import main\n"
        "from srpipe.enhance.upscale import upscale\n"
        "import srpipe.formats.listing\n"
        f"upscale(np.zeros((32, 32), np.uint8), {weights!r})\n",
        spare,
        f"main({arguments})\n",
        tmp_path,
    )
    assert done.returncode == 1
    message = done.stderr.replace("\r", "\n").splitlines()[-1]
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert re.fullmatch(
        r" *(small/b\.png: memory does not suffice for super-resolving 384x384 pixels to 1536x1536 "
        r"on cpu: another [1-9]\d* MB|memory does not suffice for enhancing small/b\.png: another "
        r"[1-9][\d.]* [KM]iB) were not to be had\. Take smaller tiles \(srpipe upscale --tile\), a "
        r"smaller image or a generator that needs less \(plain_sr_small_x4 the least\), or close "
        r"other programs\.",
        message,
    )
    assert "error: not made: 1 of 3 images" in done.stderr
    assert list(upscaled(tmp_path / "large")) == ["a.png", "c.png"]


@pytest.mark.parametrize("emulated", [True, False])
def test_emulated_bf16_is_warned_of(
    tmp_path: Path,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    emulated: bool,
) -> None:
    """Where it would take many times as long as what is the default."""
    monkeypatch.setattr("srpipe.cli.upscale.emulates_bf16", lambda device: emulated)
    Image.fromarray(make_image(0, 20, 24)).save(tmp_path / "a.png")
    for precision in ("fp32", "bf16"):
        out = tmp_path / precision
        main(["upscale", str(tmp_path / "a.png"), "-o", str(out), "--precision", precision])
        warned = "warning: this cpu emulates bf16" in capsys.readouterr().err
        assert warned is (emulated and precision == "bf16")
        assert (out / "a.png").is_file()
