"""How fast we train: our steps against the predecessor's, and against what the machine can.

    python -m benchmarks.training [--quick] [--json FILE] [--figure PNG] [--markdown] [--full-nih]
                                  [--device NAME] [--images N]

Run from the repository root; docs/benchmarks.md says what is measured and how. The settings are
those of params.yaml, but for the precision, which is the one that suits the device (`auto`).
"""

import contextlib
from collections.abc import Iterator

import torch

from benchmarks import figures, full_nih, loading, report
from benchmarks.material import phantoms, written
from benchmarks.measure import Bench, measure
from benchmarks.options import note, read_options
from benchmarks.turns import spread
from srpipe.core import console
from srpipe.core.errors import SettingsError
from srpipe.core.files import write_json
from srpipe.settings.params import load_params
from srpipe.training.content import load_content


@console.entry_point
def main() -> None:
    """Measure, and tell it as the options say."""
    options = read_options(str(__doc__).splitlines()[0], training=True)
    params, effort = load_params(), options.effort
    content = load_content(params.train.content)
    with (
        written(phantoms(effort.images), effort.copies, params.downsample.scale) as material,
        told_to_fit(options.images),
    ):
        bench = Bench(params, effort, options.device, options.images, content, material)
        note("the loaders ...")
        loaded = loading.measure(material, params.train, effort)
        found = measure(bench)
        print(f"\n{report.text(found, loaded, bench)}\n")
        if options.full_nih:
            rates = full_nih.measure_rates(
                material,
                params,
                options.device,
                spread(found.mix()).median,
                found.memory.get("a training process"),
            )
            print(f"{full_nih.text(rates, params)}\n")
    if not options.markdown:
        console.say(report.headline(found, loaded, bench))
    if options.json:
        write_json(options.json, report.as_json(found, loaded, bench))
    if options.figure:
        figures.draw(options.figure, [*report.panels(found, bench), *loading.panels(loaded)])


@contextlib.contextmanager
def told_to_fit(images: int) -> Iterator[None]:
    """Turn a lack of GPU memory into a SettingsError that says what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SettingsError(
            f"the GPU's memory is too small for batches of {images} whole images: give --images "
            f"{max(1, images // 2)} ({str(error).splitlines()[0]})"
        ) from error


if __name__ == "__main__":
    main()
