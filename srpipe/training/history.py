"""The training history: one record per epoch, as a table and as plots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe.core.files import replacing, rounded

# A discriminator that is always right teaches nothing: its gradient vanishes.
SATURATED = 0.99
# One that gives HR and SR the same score has learned nothing.
BLIND = 0.02
# The scores on the validation images.
VALIDATED = ("psnr", "psnr_masked", "ssim", "lr_psnr", "content_distance")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. Losses are means over its steps, unweighted; None if a term is off.

    `learning_rate` is the generator's in the first step. The gradient norms are means, before
    clipping. `d_real` and `d_fake` are the discriminator's mean probability of "HR" for HR and for
    SR crops, `d_real_accuracy` and `d_fake_accuracy` the fractions of its predictions on them (one
    per crop, or per pixel for the unet) that are correct; of relative predictions in the
    relativistic form. The scores are means over the validation images.
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
    gradient_norm: float
    d_gradient_norm: float | None
    d_real: float | None
    d_fake: float | None
    d_real_accuracy: float | None
    d_fake_accuracy: float | None
    d_state: str
    psnr: float
    ssim: float
    psnr_masked: float
    lr_psnr: float
    content_distance: float

    def numbers(self) -> dict[str, float]:
        """Return the numeric fields that were measured, by name."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, float)}

    def tracked(self) -> dict[str, float]:
        """Return `numbers` for MLflow, which has test scores too: "validation_psnr" and so on."""
        return {
            f"validation_{name}" if name in VALIDATED else name: value
            for name, value in self.numbers().items()
        }


def discriminator_state(real_score: float, fake_score: float) -> str:
    """Say whether the discriminator is "healthy", "saturated" (always right) or "blind"."""
    if real_score > SATURATED and fake_score < 1 - SATURATED:
        return "saturated"
    if real_score - fake_score < BLIND:
        return "blind"
    return "healthy"


def epoch_record(
    epoch: int,
    adversarial: bool,
    learning_rate: float,
    means: Mapping[str, float],
    scores: Mapping[str, float],
) -> EpochRecord:
    """Return the record of an epoch.

    Args:
        epoch: its number.
        adversarial: whether it belongs to the adversarial stage.
        learning_rate: the generator's in its first step.
        means: means over the epoch's steps of what `training.steps` returns.
        scores: mean validation scores by name.
    """
    return EpochRecord(
        epoch=epoch,
        stage="adversarial" if adversarial else "pixel",
        learning_rate=learning_rate,
        loss=means["total"],
        loss_image=means["image"],
        loss_adversarial=means.get("adversarial"),
        loss_content=means.get("content"),
        loss_total_variation=means.get("total_variation"),
        loss_discriminator=means.get("discriminator"),
        gradient_norm=means["gradient_norm"],
        d_gradient_norm=means.get("discriminator_norm"),
        d_real=means.get("real"),
        d_fake=means.get("fake"),
        d_real_accuracy=means.get("real_accuracy"),
        d_fake_accuracy=means.get("fake_accuracy"),
        d_state=discriminator_state(means["real"], means["fake"]) if adversarial else "off",
        psnr=scores["psnr"],
        ssim=scores["ssim"],
        psnr_masked=scores["psnr_masked"],
        lr_psnr=scores["lr_psnr"],
        content_distance=scores["content_distance"],
    )


def as_table(history: Sequence[EpochRecord]) -> pd.DataFrame:
    """Return the history as a table, one row per epoch."""
    return pd.DataFrame(
        [asdict(record) for record in history],
        columns=[field.name for field in fields(EpochRecord)],
    )


def summary(history: Sequence[EpochRecord]) -> dict[str, Any]:
    """Return the last validation scores and discriminator state."""
    last = history[-1]
    adversarial = [record for record in history if record.stage == "adversarial"]
    result: dict[str, Any] = {
        "epochs": last.epoch,
        "loss": rounded(last.loss, 6),
        "validation": {name: rounded(getattr(last, name)) for name in VALIDATED},
    }
    if last.d_real is not None and last.d_fake is not None:
        result["discriminator"] = {
            "real_score": rounded(last.d_real),
            "fake_score": rounded(last.d_fake),
            "real_accuracy": rounded(last.d_real_accuracy or 0.0),
            "fake_accuracy": rounded(last.d_fake_accuracy or 0.0),
            "state": last.d_state,
            "collapsed_epochs": sum(record.d_state != "healthy" for record in adversarial),
        }
    return result


def headline(history: Sequence[EpochRecord]) -> dict[str, float]:
    """Return the few validation scores that DVC shows for every experiment."""
    last = history[-1]
    return {"val_psnr": rounded(last.psnr), "val_masked": rounded(last.psnr_masked)}


def plot_losses(history: Sequence[EpochRecord], path: Path) -> None:
    """Plot loss terms, discriminator predictions and gradient norms over the epochs, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    table = as_table(history)
    figure, (left, right, third) = _figure(3, len(history))
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
    # The image loss "psnr" is a logarithm and negative.
    scale = "log" if pd.to_numeric(table["loss"]).min() > 0 else "symlog"
    left.set(title="Losses (unweighted terms)", xlabel="epoch")
    left.set_yscale(scale, **({} if scale == "log" else {"linthresh": 1e-3}))
    left.legend()
    for name, label, line in (
        ("d_real", "D(HR), mean probability of HR", "-"),
        ("d_fake", "D(SR), mean probability of HR", "-"),
        ("d_real_accuracy", "right on HR", ":"),
        ("d_fake_accuracy", "right on SR", ":"),
    ):
        values = pd.to_numeric(table[name])
        right.plot(table["epoch"], values, marker="o", linestyle=line, label=label)
    right.set(title="Discriminator", xlabel="epoch", ylim=(-0.02, 1.02))
    if table["d_real"].notna().any():
        right.legend()
    else:
        right.text(0.5, 0.5, "no adversarial epoch", ha="center", transform=right.transAxes)
    for name, label in (("gradient_norm", "generator"), ("d_gradient_norm", "discriminator")):
        values = pd.to_numeric(table[name])
        if values.notna().any():
            third.plot(table["epoch"], values, marker="o", label=label)
    third.set(title="Gradient norm, before clipping", xlabel="epoch", yscale="log")
    third.legend()
    _save(figure, path)


def plot_validation(history: Sequence[EpochRecord], path: Path) -> None:
    """Plot the validation scores over the epochs, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    table = as_table(history)
    figure, (left, right, third) = _figure(3, len(history))
    left.plot(table["epoch"], table["psnr"], marker="o", label="whole image")
    left.plot(table["epoch"], table["psnr_masked"], marker="o", label="markers and border masked")
    left.set(title="Validation PSNR (dB)", xlabel="epoch")
    left.legend()
    right.plot(table["epoch"], table["ssim"], marker="o")
    right.set(title="Validation SSIM", xlabel="epoch")
    third.plot(table["epoch"], table["content_distance"], marker="o")
    third.set(title="Validation content distance", xlabel="epoch")
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
