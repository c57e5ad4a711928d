"""The Compare tab: two models answer the same picture, side by side."""
