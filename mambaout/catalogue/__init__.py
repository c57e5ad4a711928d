"""Which models there are and where their weights lie, told without torch and without timm.

A page can list the models while the packages that build them are still being imported.
"""

from __future__ import annotations
