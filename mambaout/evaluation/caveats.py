"""What has to be said beside a result before it can be believed, in sentences."""

from __future__ import annotations

NOT_RETRAINED = (
    "These weights were trained bidirectionally. Causal cuts paths of the trained network and does "
    "not retrain it: what changes is the effect of that cut, not how well a model trained causally "
    "would do, which is what the paper measures. A more or less confident answer is no evidence "
    "for or against the paper."
)
TRAINED_CAUSALLY = "was trained with causal token mixers: this is the mixing it has learnt."
OPENED_NOT_RETRAINED = (
    "was trained with causal token mixers. Bidirectional opens paths that took no part in its "
    "training, and does not retrain it: what changes is the effect of opening them."
)
STILL_LOOKS_AHEAD = (
    "Only the token mixers are causal: patch embedding, stem and downsampling still look at a few "
    "pixels ahead."
)
CAUSAL_FORM = {
    "MambaOut": "keeps 25 of the 49 taps of every 7 × 7 convolution: the rows above, and its own "
    "row up to the centre.",
    "Vim": "keeps the forward scan alone, not halved. Its class token stands in the middle of the "
    "sequence, so the answer no longer sees the lower half of the picture.",
    "VMamba": "keeps the path along rows alone, and 5 of the 9 taps of the convolution before it.",
    "ViT": "lets a patch attend to itself and to those before it. Its class token sees all.",
    "MambaVision": "cuts its attention and the short convolutions beside its scan, which runs one "
    "way in any case.",
}
"""What is left of each family's token mixer in its causal form."""
