"""The words of the tab."""

from __future__ import annotations

from app.language import label, noted, tr
from app.numbers import count, duration, megabytes, number
from mambaout.evaluation.growth import PATCH, SIDES, Point
from mambaout.evaluation.sequence import is_long, threshold

TAB = noted("When does it pay?")
HEIGHT = label("Picture height, in pixels")
WIDTH = label("Picture width, in pixels")
MODEL = label("Model whose tokens are counted")
TASKS = label("Task of the paper")
MEASURE = label("Measure on this machine")
STOP = label("Stop measuring")
TABLE = label("Table of the paper")

HEADING = noted("When is a sequence long?")
HELP = noted(
    "The paper's argument: state space models pay for long sequences. Attention costs 4 D L² "
    "operations for L tokens of D channels, all the rest of a Transformer block 24 D² L. So a "
    "sequence is long when L is more than τ = 6 D: only then does attention cost more than the "
    "rest, and only then is there much to save."
)
MEASURED_HEADING = noted("And measured?")
TABLES_HEADING = noted("What the paper compares")
TABLES_HELP = noted(
    "Tables 1 to 3 as printed in version 3 of arXiv 2405.07992. Parameters are in millions, "
    "multiply-adds in billions. Choose a column heading to sort by it. A dash stands where the "
    "paper has no number."
)
NOT_YET = noted("Nothing measured yet.")
STARTING = noted("Starting three processes, which takes a few seconds …")
STOPPED = noted("Stopped. What had been measured until then is kept.")
WRONG_SIZE = noted("Please choose a height and a width from {least} to {most} pixels.")

SHORT_NAMES = {
    "mambaout_femto": "MambaOut-Femto",
    "vim_tiny_patch16_224": "Vim-Tiny",
    "deit_tiny_patch16_224": "DeiT-Tiny (ViT)",
}
TASK_NAMES = {
    "imagenet": label("ImageNet, 224 × 224"),
    "coco": label("COCO, 800 × 1280"),
    "ade20k": label("ADE20K, 512 × 2048"),
}
COLUMN_NAMES = {
    "model": noted("model"),
    "mixing": noted("token mixing"),
    "params": noted("parameters"),
    "macs": noted("multiply-adds"),
    "top1": noted("top-1 %"),
    "ap_box": noted("box AP"),
    "ap_box_50": noted("box AP at 0.5"),
    "ap_box_75": noted("box AP at 0.75"),
    "ap_mask": noted("mask AP"),
    "ap_mask_50": noted("mask AP at 0.5"),
    "ap_mask_75": noted("mask AP at 0.75"),
    "miou_ss": noted("mIoU, one scale"),
    "miou_ms": noted("mIoU, several scales"),
    "source": noted("source"),
}
TABLE_TITLES = {
    1: label("1: ImageNet classification"),
    2: label("2: COCO detection"),
    3: label("3: ADE20K segmentation"),
}


def measured_help() -> str:
    """What the button does."""
    return tr(
        "Time and memory of one forward pass of three models of 6 to 7 million parameters, for "
        "square pictures of {least} to {most} pixels. Each model runs in a process of its own, on "
        "a CPU in one thread, with untrained weights. It takes a minute or two, and Stop "
        "measuring ends it.",
        least=SIDES[0],
        most=SIDES[-1],
    )


def judgement(title: str, length: int, channels: int) -> str:
    """Whether a sequence is long, in a sentence."""
    values = {
        "title": title,
        "length": f"{length:,}",
        "channels": f"{channels:,}",
        "threshold": f"{threshold(channels):,}",
        "ratio": number(length / threshold(channels)),
    }
    if is_long(length, channels):
        return tr(
            "Long: {title} makes {length} tokens of {channels} channels, which is {ratio} times "
            "its τ of {threshold}.",
            **values,
        )
    return tr(
        "Short: {title} makes {length} tokens of {channels} channels, which is {ratio} times its τ "
        "of {threshold}.",
        **values,
    )


def operations_alt(length: int, channels: int) -> str:
    """Text alternative of the chart of operations."""
    return tr(
        "Operations of one block against the number of tokens, for {channels} channels. Attention "
        "rises with the square and passes the rest of its block at {threshold} tokens; a scan and "
        "a convolution rise in proportion. The picture has {length} tokens.",
        channels=f"{channels:,}",
        threshold=f"{threshold(channels):,}",
        length=f"{length:,}",
    )


def operations_note(channels: int) -> str:
    """What the lines of the chart are."""
    return tr(
        "Operations of one block of {channels} channels. Attention: its two products, 4 D L². "
        "Rest of the block: projections and MLP, 24 D² L. Vim's scans: 9 operations for each of "
        "16 states, 2 D channels and 2 directions. MambaOut's convolution: 7 × 7, 98 D L.",
        channels=f"{channels:,}",
    )


def line_names() -> dict[str, str]:
    return {
        "attention": tr("attention"),
        "rest": tr("rest of the block"),
        "scan": tr("Vim's scans"),
        "conv": tr("MambaOut's 7 × 7"),
    }


def task_note() -> str:
    """How the count of tokens is meant."""
    return tr(
        "Stages are judged one by one as if their mixers were attention. The paper counts tokens "
        "of {patch} × {patch} pixels and widths of 384 (τ = 2304) and 768 (τ = 4608).",
        patch=PATCH,
    )


def measuring(name: str, side: int, done: int, total: int) -> str:
    """A status line while points come in."""
    return tr(
        "Measured {name} at {side} pixels: {done} of {total} points.",
        name=name,
        side=side,
        done=done,
        total=total,
    )


def measured(seconds: float) -> str:
    return tr("Measured in {time}.", time=duration(seconds))


def growth_alt(what: str, points: int) -> str:
    """Text alternative of a measured chart."""
    return tr(
        "{what} against the number of tokens: {count} points, all of them in the table below.",
        what=what,
        count=points,
    )


def time_of(point: Point) -> str:
    return duration(point.seconds)


def memory_of(point: Point) -> str:
    """The peak beyond the model itself."""
    return "–" if point.peak_bytes is None else megabytes(point.peak_bytes)


def operations(value: float) -> str:
    return count(value)
