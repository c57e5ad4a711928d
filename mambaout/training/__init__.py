"""The recipe that made the bundled miniatures: ``python -m mambaout.training --help``.

classes   which pictures are told apart, and what they are called
config    the recipe: every number that decides the weights
data      folders and zips of labelled pictures, decoded once to one array
augment   random crop, flip and colour of a whole batch at once
model     a registered model, built for this recipe
loop      epochs, averaged weights, validation
state     what a killed run needs to go on
export    weights, card (card_text: for readers) and manifest of a run
"""

from __future__ import annotations
