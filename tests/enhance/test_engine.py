"""Each generator finds an engine; without torch, what needs it says so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from srpipe.core.errors import SettingsError
from srpipe.core.extras import MissingPackageError
from srpipe.enhance import engine
from srpipe.models.checkpoint import load_generator, save_released
from srpipe.models.released import released_names, weights_file

# Makes `import torch` fail as where it is not installed, and shows what came of it.
WITHOUT_TORCH = """\
import importlib.util, sys
found = importlib.util.find_spec
hidden = lambda name, *more: None if name == "torch" else found(name, *more)
importlib.util.find_spec = hidden
sys.modules["torch"] = None
"""


@pytest.mark.parametrize("name", released_names())
def test_released_models_run_on_onnx_runtime(name: str) -> None:
    """On the CPU in float32; bf16 is torch's. Both give the same but for rounding."""
    generator = engine.load(name)
    lr = np.random.default_rng(0).random((20, 24), np.float32)
    exact = engine.network(generator, "fp32", "cpu")
    assert exact.run is generator.with_onnx
    coarse = engine.network(generator, "bf16", "cpu")
    assert (coarse.reach, coarse.scale) == (exact.reach, exact.scale)
    assert exact.reach == load_generator(weights_file(name)).model.reach
    assert 0 < np.abs(exact.run(lr) - coarse.run(lr)).max() < 0.1


def test_a_file_of_ones_own_runs_alike_in_either_form(ours: Path) -> None:
    """As a checkpoint with torch, exported with ONNX Runtime."""
    save_released(Path("ours.safetensors"), load_generator(ours), {})
    lr = np.random.default_rng(0).random((20, 24), np.float32)
    kinds = [engine.load(path) for path in (ours, Path("ours.safetensors"))]
    assert [each.with_onnx is None for each in kinds] == [True, False]
    first, second = (engine.network(each, "fp32", "cpu").run(lr) for each in kinds)
    assert np.abs(first - second).max() < 2e-5


def test_an_unknown_precision_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(SettingsError, match="precision is 'fp16': give one of fp32, bf16"):
        engine.network(engine.load("plain_sr_x4"), "fp16", "cpu")  # type: ignore[arg-type]


def without_torch(code: str) -> str:
    """Run code in a process where torch is not installed; return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_enhancing_needs_no_torch(tmp_path: Path) -> None:
    """The library, with consistency, interval and alpha, and exporting a graph; on the CPU."""
    told = without_torch(
        "import numpy as np\n"
        "from srpipe import Upscaler, upscale\n"
        "from srpipe.cli.main import main\n"
        "from srpipe.enhance.upscale import method\n"
        "lr = np.tile(np.arange(60, 190, 5, dtype=np.uint8), (20, 1))\n"
        "print(upscale(lr).shape, Upscaler(alpha=0.5, consistent=True)(lr).shape)\n"
        "print(method(interval=True).device)\n"
        f"main(['export', '--weights', 'plain_sr_x4', '--out', {str(tmp_path / 'a.onnx')!r}])\n"
    )
    assert told.startswith("(80, 104) (80, 104)\ncpu\nwrote ")
    assert (tmp_path / "a.onnx").stat().st_size > 1_000_000


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("method(precision='bf16')", "the precision bf16 on cpu needs torch, which this"),
        ("method(device='cuda')", "the device 'cuda' needs torch, which this"),
        (
            "method('ours.pt')",
            "ours.pt, which is not in the form of the released files,",
        ),
    ],
)
def test_what_needs_torch_says_how_to_get_it(ours: Path, wanted: str, told: str) -> None:
    """Instead of a traceback, or of another engine in silence."""
    Path("ours.pt").write_bytes(ours.read_bytes())
    said = without_torch(
        "from srpipe.core.errors import SrpipeError\n"
        "from srpipe.enhance.upscale import method\n"
        f"try: {wanted}\n"
        "except SrpipeError as error: print(type(error).__name__, error)\n"
    )
    assert said.startswith(f"{MissingPackageError.__name__} {told}")
    assert "pip install '.[torch]'" in said
