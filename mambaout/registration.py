"""The families registered with timm, whichever of the two packages is imported first.

timm knows the models of modules that have been imported, and has no other way to be told of some.
Importing them means importing torch and timm, which takes seconds; a program that imports
`mambaout` for its catalogue or its pictures need not wait for that. See
docs/decisions/0006-importing-costs-little.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_FAMILIES = "mambaout.models"


def register_with_timm() -> None:
    """Import the families now if timm is imported, else as soon as timm has been imported."""
    if "timm" in sys.modules:
        import_module(_FAMILIES)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds timm where all others find it, and has the families imported after it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "timm":
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                # Not `None`: timm is a package with a file.
                spec.loader = _Loader(self, spec.loader) if spec.loader is not None else None
                return spec
        return None


class _Loader(Loader):
    """Does what timm's own loader does, and then imports the families."""

    def __init__(self, finder: _Finder, own: Loader) -> None:
        self._finder = finder
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        import_module(_FAMILIES)
