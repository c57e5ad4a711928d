"""Why a model answers as it does: raw numbers with units; see `Explanation` and `ScanTrace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mambaout.deferred import deferred

if TYPE_CHECKING:
    from mambaout.explain.activity import MixerActivity, mixer_activity
    from mambaout.explain.base import Explanation
    from mambaout.explain.cam import grad_cam
    from mambaout.explain.map_agreement import Agreement, agreement
    from mambaout.explain.reads import TokenReads, token_reads
    from mambaout.explain.scan_mixers import scan_layers, why_no_scan
    from mambaout.explain.token_mixers import find_mixer, mixer_names
    from mambaout.explain.trace import Components, PathTrace, ScanTrace, scan_trace
    from mambaout.explain.views import keep_views

__all__ = [
    "Agreement",
    "Components",
    "Explanation",
    "MixerActivity",
    "PathTrace",
    "ScanTrace",
    "TokenReads",
    "agreement",
    "find_mixer",
    "grad_cam",
    "keep_views",
    "mixer_activity",
    "mixer_names",
    "scan_layers",
    "scan_trace",
    "token_reads",
    "why_no_scan",
]

__getattr__, __dir__ = deferred(
    __name__,
    {
        "Agreement": "mambaout.explain.map_agreement",
        "Components": "mambaout.explain.trace",
        "Explanation": "mambaout.explain.base",
        "MixerActivity": "mambaout.explain.activity",
        "PathTrace": "mambaout.explain.trace",
        "ScanTrace": "mambaout.explain.trace",
        "TokenReads": "mambaout.explain.reads",
        "agreement": "mambaout.explain.map_agreement",
        "find_mixer": "mambaout.explain.token_mixers",
        "grad_cam": "mambaout.explain.cam",
        "keep_views": "mambaout.explain.views",
        "mixer_activity": "mambaout.explain.activity",
        "mixer_names": "mambaout.explain.token_mixers",
        "scan_layers": "mambaout.explain.scan_mixers",
        "scan_trace": "mambaout.explain.trace",
        "token_reads": "mambaout.explain.reads",
        "why_no_scan": "mambaout.explain.scan_mixers",
    },
)
