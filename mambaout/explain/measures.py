"""How what a token reads can be measured."""

from __future__ import annotations

MEASURES = ("jacobian", "scan")
