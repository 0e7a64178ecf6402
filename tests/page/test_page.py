"""The page in a real browser: what it shows, what it hands back, and what it refuses."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srpipe.cli.main import main
from srpipe.metrics.error import psnr, squared_error
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render
from srpipe.trust.range import INVERTED
from tests.conftest import MakeImage
from tests.formats.radiographs import encoded, radiograph

PATIENCE = 300_000  # ms: the first page loads torch, and a machine may be busy
PHONE = {"width": 380, "height": 800}
# A name that would run a script, load a picture and leave its folder, if anything took it so.
NASTY = "<img src=x onerror=alert(1)> ![](http%3A)..%2F :red[a] $1$ Å"

Open = Callable[..., Any]
Array = npt.NDArray[Any]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Open]:
    """Return a function that opens the page as a new visitor; all go home at the end."""
    visitors = []

    def open_page(asked: list[str] | None = None, **options: Any) -> Any:
        visitor = browser.new_context(**options)
        visitors.append(visitor)
        page = visitor.new_page()
        if asked is not None:
            page.on("request", lambda request: asked.append(request.url))
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        return page

    yield open_page
    for visitor in visitors:
        visitor.close()


def upload(page: Any, name: str, data: bytes | Path) -> None:
    """Give the page a low-resolution file."""
    page.get_by_text("Your own").click()
    page.get_by_text("Choose a file").wait_for()
    page.get_by_role("button", name="Download").wait_for(state="detached")  # the sample's
    field = page.locator("input[type=file]")
    if isinstance(data, Path):
        field.set_input_files(data)
    else:
        field.set_input_files({"name": name, "mimeType": "text/html", "buffer": data})


def downloaded(page: Any, kind: str) -> tuple[str, bytes]:
    """Return the name and the bytes of the download."""
    button = page.get_by_role("button", name=f"Download {kind}")
    with page.expect_download() as waiting:
        button.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def pictures(page: Any) -> dict[str, Array]:
    """Return what is shown, by name."""
    page.get_by_role("button", name="Download").wait_for()
    found = {}
    for panel in page.locator(".panels figure").all():
        source = panel.locator("img").get_attribute("src")
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        found[panel.locator("b").inner_text()] = np.asarray(picture)
    return found


def commanded(folder: Path, name: str, data: bytes, *more: str) -> bytes:
    """Return what `srpipe upscale` makes of a file."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / name).write_bytes(data)
    main(["upscale", "--images", str(folder / "in"), "--out", str(folder / "out"), *more])
    (made,) = (folder / "out").iterdir()
    return made.read_bytes()


def png(array: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def tiff(array: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "TIFF")
    return buffer.getvalue()


def dicom(array: Array) -> bytes:
    return encoded(radiograph(array, 12, PhotometricInterpretation="MONOCHROME1"))


# ------------------------------------------------------------------ a sample


def test_a_sample_is_shown_with_its_scores(visit: Open, address: str) -> None:
    """Before anything is chosen, without a request to anywhere else, and not for diagnosis; the
    scores are those of the pictures.
    """
    asked: list[str] = []
    page = visit(asked)
    shown = pictures(page)
    assert list(shown) == ["Bicubic", "SR", "HR", "Interval half width", "Difference"]
    assert {each.shape for each in shown.values()} == {(1024, 1024)}
    table = page.locator("table").inner_text()
    before, after = (float(each) for each in re.findall(r"(\d+\.\d\d) dB", table)[:2])
    for name, score in (("Bicubic", before), ("SR", after)):
        assert score == pytest.approx(
            psnr(float(squared_error(shown[name], shown["HR"]).mean())), abs=0.006
        )
    assert after > before
    assert page.get_by_text("Not for diagnosis.").is_visible()
    own = (address, "data:", "blob:" + address)
    assert asked
    assert [each for each in asked if not each.startswith(own)] == []


def test_keys_alone_move_the_slider_and_all_pictures(visit: Open) -> None:
    """On a phone's width, which nothing exceeds."""
    page = visit(viewport=PHONE)
    pictures(page)
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert slider.input_value() == "53"
    clip = page.locator(".cut").evaluate("each => getComputedStyle(each).clipPath")
    assert clip == "inset(0px 0px 0px 53%)"

    page.locator(".panels .window").last.focus()
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
    style = "each => { const m = new DOMMatrix(getComputedStyle(each).transform); return"
    moved = [
        [each.evaluate(f"{style} {part} }}") for part in ("m.a", "m.e / each.width")]
        for each in page.locator(".window img").all()
    ]
    # A tenth of what is seen, to the right of the middle.
    assert len(moved) == 7
    assert moved == [[pytest.approx(2.25), pytest.approx(0.5 - 0.5 * 2.25 - 0.1, abs=1e-3)]] * 7
    assert page.locator("output").inner_text() == "225%"
    page.get_by_role("button", name="Fit").press("Enter")
    assert page.locator("output").inner_text() == "100%"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_phone_shows_the_picture_first(visit: Open) -> None:
    """Much of it without scrolling, the settings below; and speaks of no keys."""
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    pictures(page)
    stage, model = page.locator(".compare"), page.get_by_role("combobox", name="Model")
    assert stage.bounding_box()["y"] < 0.65 * PHONE["height"]
    assert model.bounding_box()["y"] > page.locator(".panels").bounding_box()["y"]
    assert page.get_by_text("Drag to move.").is_visible()
    assert page.get_by_text("Keys in a picture").is_hidden()


# ------------------------------------------------------------------ a file of one's own


@pytest.mark.parametrize(
    ("suffix", "bits", "write"), [(".png", 8, png), (".tif", 16, tiff), (".dcm", 12, dicom)]
)
def test_the_download_is_what_the_command_makes(
    visit: Open,
    make_image: MakeImage,
    tmp_path: Path,
    suffix: str,
    bits: int,
    write: Callable[[Array], bytes],
) -> None:
    """To the byte, in the type of the input, with which the server wrote no file; and what is shown
    is that. A name does no harm.
    """
    array = make_image(1, 300, 320).astype(np.uint16) * (2**bits // 256)
    data = write(array.astype(np.uint8) if bits == 8 else array)
    page = visit()
    dialogs: list[Any] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    upload(page, NASTY + suffix, data)
    name, made = downloaded(page, suffix[1:].upper())
    assert made == commanded(tmp_path, f"x{suffix}", data)
    assert name == f"imgsrcxonerroralert1http3A..2Freda1Å_plain_sr_x4{suffix}"
    assert list(pictures(page)) == ["Bicubic", "SR", "Interval half width", "Difference"]
    assert page.get_by_text("No interval").count() == 0
    assert "LR-PSNR" in page.locator("table").inner_text()
    if suffix == ".png":
        assert np.array_equal(pictures(page)["SR"], np.asarray(Image.open(io.BytesIO(made))))
    assert not dialogs
    assert page.locator("img[src=x]").count() == 0


def test_a_mixture_is_that_of_its_alpha(visit: Open, make_image: MakeImage, tmp_path: Path) -> None:
    """Chosen by keys; the download is what the command makes with it, and its name has it."""
    data = png(make_image(2, 96, 80))
    page = visit()
    upload(page, "a.png", data)
    _, first = downloaded(page, "PNG")
    page.get_by_role("combobox", name="Model").click()
    page.keyboard.type("a mixture")
    page.keyboard.press("Enter")
    slider = page.get_by_role("slider", name="Alpha")
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text("alpha 0.6").wait_for()
    name, made = downloaded(page, "PNG")
    assert name == "a_alpha0.6_x4.png"
    assert made == commanded(tmp_path, "a.png", data, "--alpha", "0.6")
    assert made != first
    assert list(pictures(page)) == ["Bicubic", "SR", "Difference"]
    assert page.get_by_text("No interval: only plain_sr_x4").count() == 1


def test_an_old_result_is_gone_while_a_new_one_is_made(visit: Open, make_image: MakeImage) -> None:
    """Its pictures, scores and download, as soon as alpha moves; the page tells how far it is."""
    page = visit()
    upload(page, "a.png", png(make_image(4, 400, 400)))
    page.get_by_role("button", name="Download").wait_for()
    page.get_by_role("combobox", name="Model").click()
    page.keyboard.type("a mixture")
    page.keyboard.press("Enter")
    page.get_by_text("alpha 0.5").wait_for()
    page.get_by_role("button", name="Download").wait_for()
    # At the first moment when the page says that it enhances, once alpha has moved.
    page.evaluate(
        """() => {
          const old = () => document.querySelectorAll(".st-key-viewer, table, .stDownloadButton");
          window.before = old().length;
          window.told = new Promise((done) => new MutationObserver(() => {
            const text = document.querySelector(".stProgress")?.innerText ?? "";
            if (/of 4 parts/.test(text)) done([text.trim(), old().length]);
          }).observe(document.body, { childList: true, subtree: true, characterData: true }));
        }"""
    )
    page.get_by_role("slider", name="Alpha").press("ArrowRight")
    told, left = page.evaluate("window.told")
    assert re.fullmatch(r"Enhancing: [0-3] of 4 parts", told)
    assert (page.evaluate("window.before"), left) == (3, 0)
    page.get_by_text("alpha 0.6").wait_for()
    assert list(pictures(page)) == ["Bicubic", "SR", "Difference"]
    assert page.locator(".stProgress").count() == 0


def test_the_interval_comes_to_the_pictures_that_are_there(
    visit: Open, make_image: MakeImage
) -> None:
    """SR is shown first, at a zoom and with a focus that stay; the work is not done again."""
    page = visit()
    page.get_by_text("Your own").click()
    page.get_by_role("button", name="Download").wait_for(state="detached")
    page.evaluate(
        """() => {
          const find = (root) => root.querySelector(".viewer") ?? [...root.querySelectorAll("*")]
            .map((each) => each.shadowRoot && find(each.shadowRoot)).find(Boolean);
          window.found = new Promise((done) => {
            const look = setInterval(() => {
              const viewer = find(document);
              if (!viewer?.querySelector(".after[src]")) return;
              clearInterval(look);
              viewer.querySelector("[data-zoom=in]").click();
              const told = [...viewer.querySelectorAll(".panels figure")].map((each) =>
                [each.querySelector("b").textContent, Boolean(each.querySelector("img").src)]);
              window.viewer = viewer;
              window.focused = viewer.querySelector(".panels .window");
              window.focused.focus();
              done(told);
            });
          });
        }"""
    )
    field = page.locator("input[type=file]")
    data = png(make_image(5, 380, 380))
    field.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": data})
    names = ["Bicubic", "SR", "Interval half width", "Difference"]
    assert page.evaluate("window.found") == [[name, "Interval" not in name] for name in names]
    assert list(pictures(page)) == names
    assert page.evaluate("window.viewer.getRootNode().activeElement === window.focused")
    assert page.locator("output").inner_text() == "150%"


def test_two_visitors_at_once_see_their_own(
    visit: Open, make_image: MakeImage, tmp_path: Path
) -> None:
    """Under the same file name, uploaded before either result is there."""
    files = [png(make_image(seed, 64, 64 + 16 * seed)) for seed in (1, 2)]
    pages = [visit() for _ in files]
    for page, data in zip(pages, files, strict=True):
        upload(page, "chest.png", data)
    for index, (page, data) in enumerate(zip(pages, files, strict=True)):
        made = downloaded(page, "PNG")[1]
        assert made == commanded(tmp_path / str(index), "chest.png", data)
        assert np.array_equal(pictures(page)["SR"], np.asarray(Image.open(io.BytesIO(made))))


def test_what_is_out_of_range_is_warned_of(visit: Open) -> None:
    """Above the pictures, which are shown all the same; a chest as it is usual has no warning."""
    chest = render(Exposure(1, 0, 14), 256)
    page = visit()
    upload(page, "chest.png", png(chest))
    pictures(page)
    assert page.get_by_text("Out of range").count() == 0
    page = visit()
    upload(page, "chest.png", png(255 - chest))
    alert = page.get_by_role("alert").filter(has_text=f"Out of range: {INVERTED}.")
    alert.wait_for()
    assert "SR" in pictures(page)
    assert alert.bounding_box()["y"] < page.locator(".panels").bounding_box()["y"]


# ------------------------------------------------------------------ what is refused


def bomb() -> bytes:
    """Return a PNG of 81 million pixels, below Pillow's own limit."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.png", bomb(), "a.png has too many pixels, 9,000 x 9,000: allowed are 1,048,576."),
        (
            "a.dcm",
            encoded(radiograph(np.zeros((32, 32)), 8, Rows=65535, Columns=65535)),
            "a.dcm has too many pixels, 65,535 x 65,535: allowed are 1,048,576.",
        ),
        (f"{NASTY}.png", b"<script>", f"{NASTY}.png is no image that can be read"),
    ],
    ids=["PNG", "DICOM", "markup"],
)
def test_a_bomb_or_no_image_is_refused(visit: Open, name: str, data: bytes, told: str) -> None:
    """In a sentence, as it stands."""
    page = visit()
    upload(page, name, data)
    alert = page.get_by_role("alert").filter(has_text=told)
    alert.wait_for()
    assert alert.locator("img, script, .katex").count() == 0
    assert page.get_by_role("button", name="Download").count() == 0


def test_an_upload_over_the_limit_is_refused(visit: Open, tmp_path: Path) -> None:
    """200 MB, before they are sent."""
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    page = visit()
    upload(page, "large.png", large)
    page.get_by_text("File must be 32.0MB or smaller").wait_for()
    assert page.get_by_role("button", name="Download").count() == 0
