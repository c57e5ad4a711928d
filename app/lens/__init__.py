"""The Lens tab: what a token reads, what reads it, and what the scan holds there."""
