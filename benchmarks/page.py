"""How soon the web page shows the pictures of an upload, and what CPU time that takes.

    python -m benchmarks.page [--uploads N]

A visitor in headless Chromium sees a sample, chooses a PNG file of 256x256, and waits. Measured are
the seconds from the end of the upload until SR is decoded and a frame is drawn, and until all
pictures are, the interval last; and the CPU seconds of the server and of the browser from the
choice until a second after the page has settled. Other
work on the machine makes the former longer; the latter hold for the CPU that is printed.
"""

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

from benchmarks import turns
from benchmarks.training import phantoms
from srpipe.core import console
from srpipe.evaluation.tables import aligned_table
from srpipe.formats.raster import encode_png
from srpipe.imaging.resample import downsample
from tests.page.serving import served

PATIENCE = 300_000  # ms: the first visit loads the model
# Looks for pictures, which are in the shadow tree of a component, every 10 ms.
WATCH = """() => {
  const find = (root) => root.querySelector(".viewer") ?? [...root.querySelectorAll("*")]
    .map((each) => each.shadowRoot && find(each.shadowRoot)).find(Boolean);
  const drawn = (selector) => new Promise((done) => {
    const look = setInterval(async () => {
      const images = [...find(document)?.querySelectorAll(selector) ?? []];
      if (!images.length || !images.every((each) => each.src)) return;
      clearInterval(look);
      await Promise.all(images.map((each) => each.decode()));
      requestAnimationFrame(() => setTimeout(() => {
        const sent = performance.getEntriesByType("resource")
          .filter(({ name }) => name.includes("upload_file"));
        done((performance.now() - sent.at(-1).responseEnd) / 1000);
      }));
    }, 10);
  });
  window.drawn = Promise.all([drawn(".after"), drawn("img")]);
}"""


def cpu_seconds() -> dict[str, float]:
    """Return the CPU seconds so far of the server and of the browser, this process's children."""
    found = {"streamlit": 0.0, "chromium": 0.0}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended
            command, times = " ".join(process.cmdline()), process.cpu_times()
            for name in found:
                found[name] += (times.user + times.system) * (name in command)
    return found


def measured(page: Any, address: str, data: bytes) -> tuple[float, ...]:
    """Return the seconds until a file's SR and until all is painted, and CPU seconds of both."""
    download = page.get_by_role("button", name="Download")
    page.goto(address)
    download.wait_for()
    page.get_by_text("Your own").click()
    download.wait_for(state="detached")
    time.sleep(2)  # what this and the sample cost is over
    page.evaluate(WATCH)
    before = cpu_seconds()
    file = {"name": "chest.png", "mimeType": "image/png", "buffer": data}
    page.locator("input[type=file]").set_input_files(file)
    drawn = page.evaluate("window.drawn")
    download.wait_for()
    time.sleep(1)
    after = cpu_seconds()
    return *drawn, *(after[name] - before[name] for name in before)


@console.entry_point
def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page")
    parser.add_argument("--uploads", type=int, default=9, metavar="N")
    uploads = parser.parse_args().uploads
    files = [encode_png(downsample(hr, 4)) for hr in phantoms(uploads + 1)]
    program = shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory() as home,
        served(Path(home)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        _, *found = [measured(page, address, data) for data in files]  # all is loaded by the first
    names = ("until SR is painted", "until all is", "CPU of the server", "CPU of the browser")
    rows = [
        [name, turns.spread(each).text()]
        for name, each in zip(names, zip(*found, strict=True), strict=True)
    ]
    print(aligned_table(["an upload", "seconds, median (quartiles)"], rows))
    print(f"\n{uploads} uploads, load {os.getloadavg()[0]:.1f}. {turns.cpu()}")


if __name__ == "__main__":
    main()
