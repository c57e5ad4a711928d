"""What has to be said beside a result before it can be believed, in sentences."""

from __future__ import annotations

NOT_RETRAINED = (
    "These weights were trained bidirectionally. Causal cuts paths of the trained network and does "
    "not retrain it: what changes is the effect of that cut, not how well a model trained causally "
    "would do, which is what the paper measures."
)
CONFIDENCE = "A more or less confident answer is no evidence for or against the paper."
PATHS_LEFT_OUT = (
    "These weights were trained with all of their scan paths. Leaving some out does not retrain "
    "them: what changes is the effect of leaving them out."
)
PATHS_SCALE = {
    "Vim": "takes the mean over the paths that are left, so that a path alone is not halved.",
    "VMamba": "sums the paths that are left, and norms the sum as it norms that of all four.",
}
"""On which scale each family's paths count once some of them are left out."""
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
