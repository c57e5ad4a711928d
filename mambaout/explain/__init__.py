"""Why a model answers as it does: raw numbers with units; see `Explanation` and `ScanTrace`."""

from __future__ import annotations

from mambaout.explain.base import Explanation
from mambaout.explain.cam import grad_cam
from mambaout.explain.reads import TokenReads, token_reads
from mambaout.explain.scan_mixers import why_no_scan
from mambaout.explain.trace import PathTrace, ScanTrace, scan_trace

__all__ = [
    "Explanation",
    "PathTrace",
    "ScanTrace",
    "TokenReads",
    "grad_cam",
    "scan_trace",
    "token_reads",
    "why_no_scan",
]
