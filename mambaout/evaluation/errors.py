"""What evaluation refuses to do, in words."""

from __future__ import annotations

from mambaout.errors import MambaOutError


class EvaluationError(MambaOutError, ValueError):
    """A folder, a choice of models or an earlier run that cannot be evaluated as asked."""
