"""What a mixer's forward pass and its `scan_inputs` have in common, computed once for both."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class ScanProjection(nn.Module):
    """A mixer that projects its tokens before it scans them, in ``_project``.

    Where a trace asks `scan_inputs` and then lets the mixer run on the same tokens, the projections
    would be computed twice, and they cost more than the scans. Whoever has a view of the model
    alone may set ``keeps_projection``: then the forward pass takes over what `scan_inputs` of the
    very same tensor has computed. Nothing is kept after that.
    """

    keeps_projection = False
    _kept: tuple[Tensor, Any] | None = None

    def forget_projection(self) -> None:
        """End ``keeps_projection``, and what was kept of a forward pass that did not come."""
        self.keeps_projection, self._kept = False, None

    def _project(self, x: Tensor, *rest: Any) -> Any:
        raise NotImplementedError

    def _projected_to_look_at(self, x: Tensor, *rest: Any) -> Any:
        """For `scan_inputs`."""
        projection = self._project(x, *rest)
        if self.keeps_projection:
            self._kept = x, projection
        return projection

    def _projected_to_scan(self, x: Tensor, *rest: Any) -> Any:
        """For the forward pass."""
        if self._kept is not None:
            (given, projection), self._kept = self._kept, None
            if given is x:
                return projection
        return self._project(x, *rest)
