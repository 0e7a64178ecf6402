"""The promise that matters most, from a folder of files to the split, for folders of any kind."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srpipe.data import report_picture
from srpipe.data.split_file import SUBSETS
from srpipe.formats.raster import encode_png
from srpipe.settings.datasets import PATTERNS
from tests.staged import split_folder, work_in

WORLDS = 150
# Pictures that files are made of: 32 pixels a side are enough at 2x.
PICTURES = [
    encode_png(np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8))
    for seed in range(40)
]
# Patients as people name them: one letter has two forms in Unicode, one is what pandas calls NaN.
PEOPLE = ["anna", "J\u00f6rg", "NA", "007", "\u00c5se", 'o, "k"', "M\u00fcller 2", "7"]
# A layout of each kind: the path of a patient's image, and a pattern that fits.
LAYOUTS: dict[str, tuple[Callable[[int, int], str], str]] = {
    "flat": (lambda p, i: f"{PEOPLE[p]}_{i}.png", "file_name"),
    "nih": (lambda p, i: f"images_00{i}/images/{p:08d}_{i:03d}.png", "nih"),
    "chexpert": (lambda p, i: f"train/patient{p:05d}/study{i}/view1_frontal.jpg", "chexpert"),
    "mimic": (lambda p, i: f"p1/p1000000{p}/s5000000{i}/{(p * 7 + i) ** 5:08x}.jpg", "mimic"),
    "by folder": (lambda p, i: f"{PEOPLE[p]}/{'abc'[i]}.tif", "^(?P<patient>[^/]+)/"),
}


@dataclass
class World:
    """A folder that was made up: whose its images are, on which list, and what is odd there."""

    layout: str
    folder: dict[str, Any]
    split: dict[str, Any]
    truth: dict[str, int] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)


def spelt(rng: np.random.Generator, name: str, world: World) -> str:
    """Return a name as some system, tool or person writes it."""
    stem, dot, suffix = name.rpartition(".")
    for what, chance, other in (
        ("decomposed", 0.3, unicodedata.normalize("NFD", name)),
        ("backslash", 0.2, name.replace("/", "\\")),
        ("suffix case", 0.2, f"{stem}{dot}{suffix.upper()}"),
    ):
        if rng.random() < chance and other != name:
            world.told.add(what)
            return other
    return name


def listed(rng: np.random.Generator, name: str, world: World) -> str:
    """Return a name as lists and tables have it: also without folders, or with another suffix."""
    stem = name.rpartition(".")[0]
    whole = rng.random() < (0.99 if world.layout in ("chexpert", "by folder") else 0.5)
    name = str(rng.choice([name, name, stem, f"{stem}.dcm"]))
    return spelt(rng, name if whole else name.rpartition("/")[2], world)


def write(rng: np.random.Generator, path: Path, lines: list[str], world: World) -> None:
    """Write a list or a table with the marks and line ends of some system."""
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    world.told.add(encoding)
    path.write_bytes(str(rng.choice(["\n", "\r\n"])).join(lines).encode(encoding))


def make(rng: np.random.Generator, root: Path) -> World:
    """Make a folder up: images, some of them copies, with lists and a table that may lack some."""
    layout = str(rng.choice(list(LAYOUTS)))
    named, fitting = LAYOUTS[layout]
    others = [pattern for pattern in PATTERNS if pattern != "image"]
    world = World(
        layout,
        {
            "patient_pattern": fitting if rng.random() < 0.85 else str(rng.choice(others)),
            "patient_table": "people.csv" if rng.random() < 0.3 else None,
            "image_column": "image",
            "patient_column": "patient",
        },
        {
            "use_lists": bool(rng.random() < 0.7),
            "same_image": str(rng.choice(["refuse", "merge"])),
            "seed": int(rng.integers(100)),
        },
    )
    clean: dict[str, int] = {}
    there: dict[str, str] = {}
    pictures = iter(rng.permutation(PICTURES))
    copies = rng.choice([0.0, 0.1])
    last = next(pictures)
    for patient in range(int(rng.integers(3, 8))):
        for number in range(int(rng.integers(1, 4))):
            clean[named(patient, number)] = patient
            if rng.random() < rng.choice([0.0, 0.1]):
                continue  # in the lists and the table only
            path = root / (name := spelt(rng, named(patient, number), world))
            path.parent.mkdir(parents=True, exist_ok=True)
            if rng.random() < copies:
                world.told.add("copy")
            else:
                last = next(pictures)
            path.write_bytes(last)
            world.truth[name] = patient
            there[named(patient, number)] = name
    tests = {patient for patient in clean.values() if rng.random() < 0.4}
    if rng.random() < 0.5:
        complete, astray = rng.choice([0.8, 1.0, 1.0]), rng.choice([0.0, 0.0, 0.1])
        sides: dict[bool, list[str]] = {True: [], False: []}
        for name, patient in clean.items():
            if rng.random() < complete:
                side = (patient in tests) != (rng.random() < astray)
                sides[side].append(listed(rng, name, world))
                if name in there:
                    world.lists[there[name]] = "test" if side else "train_val"
        write(rng, root / "test_list.txt", sides[True], world)
        write(rng, root / "train_val_list.txt", sides[False], world)
    complete = rng.choice([0.8, 1.0])
    rows = []
    for name, patient in clean.items():
        if rng.random() < complete:
            who = unicodedata.normalize(str(rng.choice(["NFC", "NFD"])), PEOPLE[patient])
            quoted = (each.replace('"', '""') for each in (listed(rng, name, world), f" {who}"))
            rows.append(",".join(f'"{each}"' for each in quoted))
    write(rng, root / "people.csv", ["image,patient", *rows], world)
    return world


def worlds(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[World]:
    """Yield made-up folders, each in a working directory of its own."""
    for seed in range(WORLDS):
        work_in(folder / str(seed), patch)
        yield make(np.random.default_rng(seed), Path("own"))


def test_no_patient_is_on_two_sides_or_the_run_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No image under two names is, either, and lists are followed wholly or refused."""
    # Four fifths of the time, and nobody looks at the pictures of these reports.
    monkeypatch.setattr(report_picture, "draw", lambda *_: None)
    done: list[World] = []
    refused: list[World] = []
    reasons = ""
    for world in worlds(tmp_path, monkeypatch):
        table = split_folder(world.folder, **world.split)
        told = capsys.readouterr().err
        if table is None:
            assert told.count("error: ") == 1, (world, told)
            refused.append(world)
            reasons += told
            continue
        assert sorted(table["image"]) == sorted(world.truth), world
        assert set(table["subset"]) == set(SUBSETS)
        for what in (table["image"].map(world.truth), table["pixels"]):
            sides = table.groupby(what)["subset"].nunique()
            assert (sides == 1).all(), (world, table)
        if world.lists and world.split["use_lists"]:
            sides = table["image"].map(world.lists)
            assert ((table["subset"] == "test") == (sides == "test")).all(), (world, table)
        done.append(world)
    # Every oddity went through where it does no harm, and no refusal is the only one.
    assert len(done) > WORLDS / 4
    for oddity in ("decomposed", "backslash", "suffix case", "copy", "utf-8-sig", "utf-16"):
        assert any(oddity in world.told for world in done), oddity
    assert any(world.lists and world.split["use_lists"] for world in done)
    assert {world.layout for world in done} == set(LAYOUTS)
    for reason in (
        "are there under two patients, on two sides of the split",
        "are on neither list",
        "patient(s) are on both lists",
        "image(s) have no patient",
        "path(s) name no patient",
        "could be",
    ):
        assert reason in reasons
