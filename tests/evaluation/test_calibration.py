"""A calibrated interval covers what it promises, on patients that it has not seen."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srpipe.core.errors import DataError
from srpipe.evaluation import calibration
from srpipe.evaluation.calibration import (
    Seen,
    calibrated,
    constant_widths,
    coverage,
    fitted,
    text,
)
from srpipe.formats.raster import encode_png
from srpipe.models.checkpoint import LoadedGenerator, load_generator, save_released
from srpipe.models.plain_sr import PlainSR
from srpipe.trust.interval import Interval, of_record
from tests.conftest import MakeImage

TINY = {"channels": 1, "features": 4, "blocks": 1, "scale": 4, "bicubic_skip": True}


def patient(number: int, pixels: int = 1500) -> Seen:
    """Return pixels whose errors grow with residual and detail, and differ between patients."""
    rng = np.random.default_rng(number)
    at = rng.uniform([[-4.0], [-3.0]], [[2.0], [5.0]], (2, pixels)).astype(np.float32)
    scale = 2 ** (0.4 * at[0] + 0.5 * at[1]) * rng.lognormal(0, 0.2)
    error = np.abs(rng.normal(0, scale)).astype(np.float32)
    hr = rng.integers(0, 256, pixels).astype(np.uint8)
    return Seen(f"{number}.png", f"p{number}", "ideal", at, error, hr, at[1] > 4.5)


def interval(fit: range, calibrate: range) -> Interval:
    """Return an interval of made patients."""
    table = fitted([patient(number, 6000) for number in fit])
    factor = calibrated([patient(number) for number in calibrate], table)
    return Interval(0.9, factor, tuple(map(tuple, table)), {})


def test_the_table_is_the_quantile_of_errors_that_look_alike() -> None:
    table = fitted([patient(number, 20000) for number in range(20)])
    # Of a normal error of standard deviation s, 90% are below 1.645 s.
    for residual, detail in ((-2, 0), (0, 2), (1, -1)):
        expected = 0.4 * residual + 0.5 * detail + np.log2(1.645)
        assert table[residual + 4, detail + 4] == pytest.approx(expected, abs=0.3)
    assert np.isfinite(table).all()


def test_new_patients_are_covered_as_promised() -> None:
    """On average over calibrations and patients, at least 90%, and not much more."""
    inside = []
    for start in range(0, 10_000, 1_000):
        found = interval(range(start, start + 10), range(start + 100, start + 150))
        rows = coverage([patient(number) for number in range(start + 200, start + 230)], found)
        inside.append(rows[rows["group"] == "all"]["coverage"].mean())
    assert 0.895 < float(np.mean(inside)) < 0.935


def test_the_factor_is_the_smallest_that_risk_control_allows() -> None:
    """n/(n+1) L + 1/(n+1) is at most 0.1 with it, and more with a smaller one."""
    table = fitted([patient(number, 6000) for number in range(10)])
    seen = [patient(number) for number in range(50, 90)]
    factor = calibrated(seen, table)

    def bound(factor: float) -> float:
        rows = coverage(seen, Interval(0.9, factor, tuple(map(tuple, table)), {}))
        loss = 1 - rows[rows["group"] == "all"]["coverage"].mean()
        return 40 / 41 * float(loss) + 1 / 41

    assert bound(factor) <= 0.1
    assert bound(factor * 0.99) > 0.1


def test_patients_count_alike() -> None:
    """However many images a patient has."""
    table = fitted([patient(number, 6000) for number in range(10)])
    seen = [patient(number) for number in range(50, 90)]
    assert calibrated([*seen, *[seen[0]] * 7], table) == calibrated(seen, table)


def test_too_few_patients_are_refused() -> None:
    table = fitted([patient(number, 6000) for number in range(10)])
    with pytest.raises(DataError, match="9 patients cannot calibrate an interval of 90%"):
        calibrated([patient(number) for number in range(9)], table)


def test_coverage_is_told_by_group() -> None:
    found = interval(range(10), range(100, 150))
    seen = [patient(number) for number in range(200, 220)]
    rows = coverage(seen, found)
    told = text(rows, constant_widths(seen, rows))
    for group in ("all", "ideal", "grey 0 to 63", "grey 192 to 255", "most detail"):
        assert f"| {group} " in told


def test_the_constant_width_covers_as_much_and_is_wider() -> None:
    """On the same pixels, images counting alike, in every row of the page."""
    found = interval(range(10), range(100, 150))
    seen = [patient(number, 500 + 50 * number) for number in range(20)]
    rows = coverage(seen, found)
    constant = constant_widths(seen, rows)
    assert list(constant)[:3] == ["all", "ideal", "grey 0 to 63"]
    every = rows[rows["group"] == "all"]
    inside = [float((each.error <= constant["all"] / 2).mean()) for each in seen]
    assert np.mean(inside) == pytest.approx(every["coverage"].mean(), abs=1e-3)
    assert constant["all"] > 1.15 * every["width"].mean()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return the file of a tiny generator."""
    save_released(
        tmp_path / "tiny.safetensors", LoadedGenerator(PlainSR(**TINY), "plain_sr", TINY, 4, {}), {}
    )
    return tmp_path / "tiny.safetensors"


def folder(path: Path, make_image: MakeImage, seeds: range) -> Path:
    """Return a folder of images, one of each patient."""
    path.mkdir()
    for seed in seeds:
        image: npt.NDArray[np.uint8] = make_image(seed, 128, 128)
        (path / f"{seed:08d}_000.png").write_bytes(encode_png(image))
    return path


def test_the_command_writes_an_interval_with_the_weights(
    tmp_path: Path,
    weights: Path,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same weights, with an interval that covers the images it was calibrated on."""
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    monkeypatch.setattr(calibration, "ENOUGH", 20)
    shown = {name: how for name, how in calibration.SHOWN.items() if name in ("ideal", "noise 4")}
    monkeypatch.setattr(calibration, "SHOWN", shown)
    fit = folder(tmp_path / "fit", make_image, range(4))
    others = folder(tmp_path / "others", make_image, range(10, 22))
    arguments = ["--fit", str(fit), "--calibrate", str(others), "--out", "out.safetensors"]
    monkeypatch.setattr(sys, "argv", ["calibration", "--weights", str(weights), *arguments])
    calibration.main()
    old, new = load_generator(weights), load_generator(Path("out.safetensors"))
    assert all(
        bool((value == new.model.state_dict()[name]).all())
        for name, value in old.model.state_dict().items()
    )
    found = of_record(new.record, "out")
    assert found.calibration == {
        "patients": 12,
        "images": 12,
        "acquisitions": ["ideal", "noise 4"],
    }
    measure = ["--measure", str(others), "--json", "told.json"]
    monkeypatch.setattr(sys, "argv", ["calibration", "--weights", "out.safetensors", *measure])
    capsys.readouterr()
    calibration.main()
    line = next(each for each in capsys.readouterr().out.splitlines() if each.startswith("| all"))
    assert 90 <= float(line.split("|")[2].split("%")[0]) <= 100
    assert Path("told.json").is_file()


def test_options_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["calibration", "--weights", "plain_sr_x4", "--fit", "x"])
    with pytest.raises(SystemExit):
        calibration.main()
