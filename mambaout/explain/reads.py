"""What each token reads in one block: from every other token, how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.errors import ExplanationError, Sentence
from mambaout.explain.base import check_picture
from mambaout.explain.measures import MEASURES
from mambaout.explain.scan_mixers import why_no_scan
from mambaout.explain.token_jacobian import token_jacobian
from mambaout.explain.token_mixers import MixerRun, by_token, find_mixer, run_mixer, steps_at
from mambaout.ops.hidden_attention import mean_hidden_attention


@dataclass(frozen=True, eq=False)
class TokenReads:
    """A matrix of weights: row by row, what one token reads from each token, itself included.

    Tokens are numbered in raster order, the class token among them at its place in the sequence.
    """

    matrix: np.ndarray  # (rows, tokens) float32; (tokens, tokens) unless fewer rows were asked for
    rows: np.ndarray  # (rows,) int64: the reading tokens
    layer: str  # the mixer's module name
    measure: str  # one of `MEASURES`
    path: str | None  # the scan path measured; None for all that the mixer has
    signed: bool  # True: zero is neutral; False: zero is the least
    grid: tuple[int, int]  # (h, w) of the patches
    class_token_index: int | None  # the token that is no patch
    unit: str  # what one unit of `matrix` means
    caveat: str  # what a reader must know before believing the matrix

    def row(self, token: int) -> np.ndarray:
        """What ``token`` reads as a picture, (h, w); what it reads from the class token left out.

        Raises:
            ValueError: the row of this token was not asked for.
        """
        (found,) = np.nonzero(self.rows == token)
        if not len(found):
            raise ValueError(f"expected one of the reading tokens, got {token}")
        weights: np.ndarray = self.matrix[found[0]]
        if self.class_token_index is not None:
            weights = np.delete(weights, self.class_token_index)
        return weights.reshape(self.grid)

    def column(self, token: int) -> np.ndarray:
        """How strongly ``token`` is read by each patch as a picture, (h, w).

        Raises:
            ValueError: there is no such token, or not all reading patches were asked for.
        """
        n_tokens = self.matrix.shape[1]
        if not 0 <= token < n_tokens:
            raise ValueError(f"expected a token from 0 to {n_tokens - 1}, got {token}")
        weights, readers = self._of_patches(all_columns=True)
        n_patches = n_tokens - (self.class_token_index is not None)
        if len(readers) < n_patches:
            raise ValueError(
                f"expected the rows of all {n_patches} patches, got {len(readers)}: ask "
                "token_reads with rows=None"
            )
        column = np.empty(n_patches, np.float32)
        column[readers] = weights[:, token]
        return column.reshape(self.grid)

    def patches(self) -> np.ndarray:
        """The matrix without the class token's row and column, (patch rows, h*w)."""
        return self._of_patches()[0]

    def reach(self, threshold: float) -> np.ndarray:
        """How far away a patch must look to find a given share of what it reads from patches.

        Args:
            threshold: the share of the row's absolute weights, in (0, 1].

        Returns:
            For each reading patch the least r [tokens] such that the patches at most r rows and r
            columns away hold this share, (patch rows,) float32; NaN where a patch reads nothing.
        """
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {threshold}")
        weights, at = self._of_patches()
        y, x = np.divmod(np.arange(weights.shape[1]), self.grid[1])
        far = np.maximum(np.abs(y[at, None] - y), np.abs(x[at, None] - x))
        rings = max(self.grid)
        ring = np.arange(len(weights))[:, None] * rings + far
        held = np.bincount(ring.ravel(), np.abs(weights).ravel(), len(weights) * rings)
        held = held.reshape(-1, rings).cumsum(1)
        total = held[:, -1:]
        reach = (held >= threshold * total).argmax(1)
        return np.where(total[:, 0] > 0, reach, np.nan).astype(np.float32)

    def share_after(self) -> np.ndarray:
        """The share of a patch's absolute weights that lies on patches after it in raster order.

        (patch rows,) float32; NaN where a patch reads nothing. Exactly zero in a causal mixer.
        """
        weights, at = self._of_patches()
        weights = np.abs(weights.astype(np.float64))
        after = np.arange(weights.shape[1]) > at[:, None]
        total = weights.sum(1)
        share: np.ndarray = np.divide(
            (weights * after).sum(1), total, out=np.full(len(total), np.nan), where=total > 0
        )
        return share.astype(np.float32)

    def _of_patches(self, *, all_columns: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The matrix without the class token; and which patches its rows are, from 0 to h*w-1.

        ``all_columns`` leaves the class token's column in.
        """
        index = self.class_token_index
        if index is None:
            return self.matrix, self.rows
        kept = self.rows != index
        rows, matrix = self.rows[kept], self.matrix[kept]
        return matrix if all_columns else np.delete(matrix, index, axis=1), rows - (rows > index)


def token_reads(
    model: nn.Module,
    image: Tensor,
    layer: str | None = None,
    measure: str = "jacobian",
    path: str | None = None,
    signed: bool = False,
    *,
    rows: Sequence[int] | None = None,
    probes: int = 4,
) -> TokenReads:
    """Which tokens each token of one block reads, and how strongly.

    "jacobian" is for every mixer of every family, so that two models can be compared. With
    J_ts (c, c) the derivative of the mixer's output at token t by its normed input at token s, the
    weight is sqrt(‖J_ts‖² / c), Frobenius: how long a change at t follows from a change of length 1
    at s, root mean square over its directions. A mixer that copies its tokens has weight 1 on the
    diagonal. ‖J_ts‖² is estimated from ``probes`` random orthonormal directions of the output
    (Hutchinson 1990), the same for all tokens, from a fixed seed; with as many as channels it is
    exact. Where J_ts is zero, so is the weight. It costs ``probes`` backward passes through the
    mixer for each reading token, or for each of at most (2r+1)² groups of them where the mixer
    reads r tokens far only. On a CPU, one row costs no more than two forward passes of the model.
    All rows of a block of Vim-Tiny at 224 x 224 pixels cost 100 (7 s), of MambaOut-Tiny's third
    stage 17; by "scan", all rows of that Vim block cost 9.

    "scan" is for mixers that scan: the implicit attention of the scan
    (`mambaout.ops.hidden_attention`), averaged over channels and over the paths that come by the
    reading token.

    Args:
        model: a model of any family; a causal view shows causal mixers. It is left as it was found.
        image: one normalised picture, (1, c, H, W).
        layer: the module name of a mixer, or one of ``token_grid(model).targets``, which stands for
            the last mixer in or beside it; None for the default target.
        measure: "jacobian" or "scan".
        path: for "scan", the one path to measure; None for all.
        signed: for "scan", average alpha, where channels cancel each other, instead of |alpha|.
        rows: the reading tokens; None for all. A few are quick where all would take minutes.
        probes: for "jacobian", the directions that are tried.

    Raises:
        ExplanationError: there is no such layer, measure, path or token; the layer has no scan; the
            result is not finite, or zero everywhere. The text says which.
    """
    check_picture(image)
    if measure not in MEASURES:
        raise ExplanationError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}")
    if measure == "jacobian" and (signed or path is not None):
        raise ExplanationError(
            'expected neither path nor signed with measure "jacobian", a norm over all paths of '
            'the mixer; they are for "scan"'
        )
    if probes < 2:
        raise ExplanationError(f"probes must be at least 2, got {probes}")
    if measure == "scan":
        reason = why_no_scan(model)
        if reason is not None:
            raise ExplanationError(reason)
    name = find_mixer(model, layer)
    run = run_mixer(model, image, name)
    reading = range(run.n_tokens) if rows is None else rows
    if not all(0 <= token < run.n_tokens for token in reading) or len({*reading}) < len(reading):
        raise ExplanationError(
            f"rows must be different tokens from 0 to {run.n_tokens - 1}, got {list(reading)}"
        )
    wanted = torch.tensor(reading, dtype=torch.long)
    if measure == "jacobian":
        weights, unit, caveat = _by_jacobian(run, wanted, probes)
    else:
        weights, unit, caveat = _by_scan(run, name, wanted, path, signed)
    if not weights.isfinite().all():
        raise ExplanationError(
            Sentence(
                "the reads of {layer} hold values that are infinite or not a number: "
                "check the model's weights",
                layer=name,
            )
        )
    if not weights.any():
        raise ExplanationError(
            Sentence("no token reads any token in {layer}: all weights are zero", layer=name)
        )
    return TokenReads(
        matrix=weights.float().numpy(force=True),
        rows=wanted.numpy(),
        layer=name,
        measure=measure,
        path=path,
        signed=signed,
        grid=run.grid,
        class_token_index=run.class_token_index,
        unit=unit,
        caveat=Sentence.joined(caveat, run.form.caveat),
    )


def _by_jacobian(run: MixerRun, rows: Tensor, probes: int) -> tuple[Tensor, str, str]:
    weights, error = token_jacobian(run, rows, probes)
    unit = Sentence("length of the output's change for a change of length 1, root mean square")
    caveat = Sentence(
        "First order, at this picture. The norm before the mixer, and the residual path on which "
        "every token hands itself on, are left out."
    )
    channels = run.tokens.shape[2]
    if probes < channels:
        estimated = Sentence(
            "Estimated from {probes} of {channels} directions, to within {error} (standard error).",
            probes=probes,
            channels=channels,
            error=f"{error:.0%}",
        )
        caveat = Sentence.joined(caveat, estimated)
    return weights, unit, caveat


def _by_scan(
    run: MixerRun, layer: str, rows: Tensor, path: str | None, signed: bool
) -> tuple[Tensor, str, str]:
    with torch.inference_mode(False), torch.no_grad():
        paths = run.scan_inputs()
    if not paths:
        raise ExplanationError(
            Sentence(
                '{layer} has no scan to measure, though other layers have; measure "jacobian" is '
                "for every layer",
                layer=layer,
            )
        )
    chosen = [scan for scan in paths if path in {None, scan.path}]
    if not chosen:
        known = ", ".join(scan.path for scan in paths)
        raise ExplanationError(f"path must be one of {known}, or None for all, got {path!r}")
    # Zeros that fill up windows are scanned like tokens, at the position after the last.
    places = F.pad(run.positions, (0, 1), value=run.n_tokens)
    weights = torch.zeros(len(rows), run.n_tokens)
    visits = torch.zeros(len(rows), 1)
    for scan in chosen:
        visited = places[:, scan.order.cpu()]  # (b, steps)
        steps = steps_at(visited, rows)
        alpha = mean_hidden_attention(scan, steps.tolist(), signed=signed)
        weights += by_token(alpha, visited[:, steps], visited, rows, run.n_tokens)
        visits += torch.isin(rows, visited)[:, None]
    unit = (
        Sentence("output of the scan per unit of its input")
        if signed
        else Sentence("|output of the scan| per unit of its input")
    )
    caveat = Sentence(
        "The scan alone, averaged over channels and over the paths that come by the reading token: "
        "the convolution before it, its skip, gate and projections are left out."
    )
    height, width = run.grid
    if height != width and any(scan.path in {"v", "v_flip"} for scan in chosen):
        elsewhere = Sentence(
            "On a grid that is not square, this family gives the results of its column scans to "
            "other tokens than those they were read at; a row is the token they were read at."
        )
        caveat = Sentence.joined(caveat, elsewhere)
    return weights / visits.clamp(min=1), unit, caveat
