"""What training did, epoch by epoch: one record a row, as table and as pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe.files import replacing, rounded

# A discriminator that is always right teaches nothing: its gradient vanishes.
SATURATED = 0.99
# One that gives HR and SR the same score has learned nothing.
BLIND = 0.02


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. Losses are means over its steps, unweighted; None where a term was off.

    `d_real` and `d_fake` are the discriminator's mean probability of "HR" for HR and for SR crops.
    `psnr` (dB), `ssim` and `psnr_masked` are means over the validation images.
    """

    epoch: int
    stage: str
    learning_rate: float
    loss: float
    loss_image: float
    loss_adversarial: float | None
    loss_content: float | None
    loss_total_variation: float | None
    loss_discriminator: float | None
    d_real: float | None
    d_fake: float | None
    d_state: str
    psnr: float
    ssim: float
    psnr_masked: float

    def numbers(self) -> dict[str, float]:
        """Return the numeric fields that were measured, by name."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, float)}


def discriminator_state(real_score: float, fake_score: float) -> str:
    """Say whether the discriminator is "healthy", "saturated" (always right) or "blind"."""
    if real_score > SATURATED and fake_score < 1 - SATURATED:
        return "saturated"
    if real_score - fake_score < BLIND:
        return "blind"
    return "healthy"


def as_table(history: Sequence[EpochRecord]) -> pd.DataFrame:
    """Return the history as a table with a row an epoch."""
    return pd.DataFrame(
        [asdict(record) for record in history],
        columns=[field.name for field in fields(EpochRecord)],
    )


def verdict(history: Sequence[EpochRecord]) -> dict[str, Any]:
    """Return how training ended, for the metrics file: last validation scores, discriminator."""
    last = history[-1]
    judged = [record for record in history if record.stage == "adversarial"]
    result: dict[str, Any] = {
        "epochs": last.epoch,
        "loss": rounded(last.loss, 6),
        "validation": {
            "psnr": rounded(last.psnr),
            "psnr_masked": rounded(last.psnr_masked),
            "ssim": rounded(last.ssim),
        },
    }
    if last.d_real is not None and last.d_fake is not None:
        result["discriminator"] = {
            "real_score": rounded(last.d_real),
            "fake_score": rounded(last.d_fake),
            "state": last.d_state,
            "collapsed_epochs": sum(record.d_state != "healthy" for record in judged),
        }
    return result


def plot_losses(history: Sequence[EpochRecord], path: Path) -> None:
    """Draw the loss terms and the discriminator's scores over the epochs, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    table = as_table(history)
    figure, (left, right) = _figure(2, len(history))
    for name, label in (
        ("loss", "total"),
        ("loss_image", "image"),
        ("loss_adversarial", "adversarial"),
        ("loss_content", "content"),
        ("loss_discriminator", "discriminator"),
    ):
        values = pd.to_numeric(table[name])
        if values.notna().any():
            left.plot(table["epoch"], values, marker="o", label=label)
    left.set(title="Losses (unweighted terms)", xlabel="epoch", yscale="log")
    left.legend()
    for name, label in (("d_real", "D(HR)"), ("d_fake", "D(SR)")):
        right.plot(table["epoch"], pd.to_numeric(table[name]), marker="o", label=label)
    right.set(title="Discriminator: mean probability of HR", xlabel="epoch", ylim=(-0.02, 1.02))
    if table["d_real"].notna().any():
        right.legend()
    else:
        right.text(0.5, 0.5, "no adversarial epoch", ha="center", transform=right.transAxes)
    _save(figure, path)


def plot_validation(history: Sequence[EpochRecord], path: Path) -> None:
    """Draw PSNR, masked PSNR and SSIM on the validation images over the epochs, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    table = as_table(history)
    figure, (left, right) = _figure(2, len(history))
    left.plot(table["epoch"], table["psnr"], marker="o", label="whole image")
    left.plot(table["epoch"], table["psnr_masked"], marker="o", label="markers and border masked")
    left.set(title="Validation PSNR (dB)", xlabel="epoch")
    left.legend()
    right.plot(table["epoch"], table["ssim"], marker="o")
    right.set(title="Validation SSIM", xlabel="epoch")
    _save(figure, path)


def _figure(columns: int, epochs: int):  # type: ignore[no-untyped-def]
    # Figure without pyplot: no window system, no global state.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6 * columns, 4), layout="constrained")
    axes = figure.subplots(1, columns)
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlim(0.5, epochs + 0.5)
    return figure, axes


def _save(figure, path: Path) -> None:  # type: ignore[no-untyped-def]
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
