"""Why a model answers as it does: raw numbers with units; see `Explanation` and `ScanTrace`."""

from __future__ import annotations

from mambaout.explain.activity import MixerActivity, mixer_activity
from mambaout.explain.agreement import Agreement, agreement
from mambaout.explain.base import Explanation
from mambaout.explain.cam import grad_cam
from mambaout.explain.reads import TokenReads, token_reads
from mambaout.explain.scan_mixers import scan_layers, why_no_scan
from mambaout.explain.token_mixers import mixer_names
from mambaout.explain.trace import Components, PathTrace, ScanTrace, scan_trace

__all__ = [
    "Agreement",
    "Components",
    "Explanation",
    "MixerActivity",
    "PathTrace",
    "ScanTrace",
    "TokenReads",
    "agreement",
    "grad_cam",
    "mixer_activity",
    "mixer_names",
    "scan_layers",
    "scan_trace",
    "token_reads",
    "why_no_scan",
]
