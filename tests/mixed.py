"""A folder as people have them: images, and one of each kind of file that lies beside them."""

from pathlib import Path

from PIL import Image

from tests.conftest import MakeImage

MIXED_LEFT_OUT = "3 file(s) are not read: 1 .gif (c.gif); 1 .webp (d.webp); 1 DICOM (IM-0001)"
MIXED_COUNTS = {
    ".gif": {"files": 1, "first": ["c.gif"]},
    ".webp": {"files": 1, "first": ["d.webp"]},
    "DICOM": {"files": 1, "first": ["IM-0001"]},
}


def put_mixed(folder: Path, make_image: MakeImage) -> None:
    """Write three images, of which two have less usual endings, and five other files."""
    folder.mkdir(parents=True)
    for seed, (name, kind) in enumerate(
        {"a.png": "PNG", "b.jfif": "JPEG", "e.jpe": "JPEG", "c.gif": "GIF"}.items()
    ):
        Image.fromarray(make_image(seed, 64, 64)).save(folder / name, format=kind)
    (folder / "d.webp").write_bytes(b"RIFF")
    (folder / "IM-0001").write_bytes(bytes(128) + b"DICM")  # known by its content
    (folder / "notes.txt").write_text("hello")
    (folder / ".DS_Store").write_bytes(b"\0")
