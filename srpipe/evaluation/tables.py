"""Scores as tables."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from srpipe.core.files import rounded
from srpipe.metrics.scores import Scores


def means(table: pd.DataFrame, prefix: str = "") -> dict[str, float]:
    """Return the mean over images of each score in the columns `prefix` + name, rounded."""
    return {name: rounded(table[prefix + name].mean()) for name in Scores.names()}


def plain_cell(text: str) -> str:
    """Return a cell of a Markdown table that shows a text as it is: names may hold markup."""
    one_line = "".join(each if each.isprintable() else " " for each in text)
    # Brackets are links only before others: those of intervals stay.
    linked = "](" in one_line or "][" in one_line
    return re.sub(r"([\\|<`\[])" if linked else r"([\\|<`])", r"\\\1", one_line)


def text_table(rows: Mapping[str, Mapping[str, float]], notes: Sequence[str] = ()) -> str:
    """Return a Markdown table of mean scores, a row per method, aligned for a terminal too."""
    heads = {
        "psnr": "PSNR (dB)",
        "psnr_masked": "PSNR masked (dB)",
        "ssim": "  SSIM",
        "ssim_masked": "SSIM masked",
        "lr_psnr": "LR-PSNR (dB)",
        "content_distance": "content dist.",
    }
    rows = {plain_cell(name): scores for name, scores in rows.items()}
    width = max(len(name) for name in (*rows, "method"))
    lines = [
        f"| {'method':<{width}} | " + " | ".join(heads.values()) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("-" * (len(h) + 1) + ":" for h in heads.values()) + "|",
    ]
    for name, scores in rows.items():
        cells = [
            f"{scores[key]:>{len(head)}.{4 if 'ssim' in key else 2}f}"
            for key, head in heads.items()
        ]
        lines.append(f"| {name:<{width}} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *notes])


def aligned_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned for a terminal; all columns but the first are numbers."""
    head, *rows = ([plain_cell(cell) for cell in row] for row in (head, *rows))
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(head), f"|{'|'.join(rule)}|", *(line(row) for row in rows)])
