"""The words of the study's table and plot, which the page translates."""

from __future__ import annotations

from collections.abc import Callable

HEADINGS = {
    "trained": "trained bidirectionally",
    "switched": "the same weights, causal",
    "trained_causally": "trained causally",
    "opened": "the same weights, bidirectional",
}
"""Of the four measured accuracies; the second and the fourth are views of the one before."""

COLUMNS = tuple(HEADINGS)
DIFFERENCES = {
    "switched": "made causal by the switch",
    "trained_causally": "trained causally instead",
    "opened": "trained causally, made bidirectional by the switch",
}
"""Of accuracy, on the same pictures; what each is a change of is in `study_table`."""

DIFFERENCE = "{change} points ({low} to {high})"
NOT_MEASURED = "not measured"
AXIS = "top-1 in percent; dashed: chance"
EPOCHS = "{epochs} epochs"
SEED = "seed {seed}"
SEED_AND_EPOCHS = "seed {seed}, {epochs} epochs"
NOT_TRAINED = "not trained"
TITLE = (
    "Top-1 accuracy on {classes} classes, trained with either mixing and switched, with 95 % "
    "intervals"
)
ACCURACY = "{heading} {top1} ({low} to {high})"
ROW = "{name}: {accuracies}."
BELOW = (
    "Top-1 on {count} validation pictures of {classes} classes at {pixels}×{pixels} pixels, with "
    "its 95 % interval (Wilson), after training on {train_count} pictures."
)
BELOW_DIFFERENCES = (
    "Change of top-1 on the same {count} pictures: of the first two from the weights trained "
    "bidirectionally, of the third from those trained causally, each with the 95 % interval of a "
    "difference between paired shares (Bonett and Price). One that contains 0 may be chance."
)


Say = Callable[..., str]
"""Translates a message and puts values in its places, as `english` does."""


def english(message: str, **values: object) -> str:
    """A message as it stands, with its values."""
    return message.format(**values)
