"""Names are text and never paths; limits are the server's."""

import tomllib
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the page needs the extra app")

from app.texts import MIXTURE, MODELS
from app.uploads import MOST_BYTES, plain, result_name, shown_name
from srpipe.models.released import DEFAULT, released_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("chest.png", "chest_x4.png"),
        ("../../etc/passwd", "etcpasswd_x4.png"),
        ("..", "radiograph_x4.png"),
        ("<b>\0\n\"'/\\:*?", "b_x4.png"),
        ("Thorax Öl-1_b.v2.jpg", "ThoraxÖl-1_b.v2_x4.png"),
        ("a" * 300, "a" * 40 + "_x4.png"),
    ],
)
def test_results_have_harmless_names(name: str, wanted: str) -> None:
    """Of letters, digits, and - _ . between them."""
    assert result_name(name, "x4", ".png") == wanted


def test_messages_show_text_as_it_is() -> None:
    """Every character that Markdown knows is escaped; lines do not break."""
    assert plain("![a](b) :red[x]\n$1$") == r"\!\[a\]\(b\) \:red\[x\] \$1\$"
    assert shown_name("x" * 100 + ".dcm") == "x" * 60 + "....dcm"
    assert shown_name("chest.png") == "chest.png"


def test_the_server_has_the_limit() -> None:
    """Of bytes; and it sends nothing elsewhere, and listens to this machine alone."""
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] * 2**20 == MOST_BYTES
    assert config["server"]["address"] == "localhost"
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"


def test_every_model_is_described() -> None:
    """And none that is not there; the default comes first, and initial weights are left out."""
    offered = [name for name in released_names() if not name.endswith(("_base_x4", "_mid_x4"))]
    assert sorted(MODELS) == sorted([*offered, MIXTURE])
    assert next(iter(MODELS)) == DEFAULT
