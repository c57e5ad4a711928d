"""The Mixing tab: what one set of weights answers bidirectionally and causally, side by side."""
