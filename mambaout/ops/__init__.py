"""Tensors in, tensors out: the selective scan and what belongs to it."""

from __future__ import annotations

from mambaout.ops.causal_conv import causal_conv1d, raster_causal_mask
from mambaout.ops.path_scan import path_scan
from mambaout.ops.plain_scan import plain_selective_scan
from mambaout.ops.scan import scan_states, selective_scan
from mambaout.ops.scan_inputs import ScanInputs
from mambaout.ops.scan_order import ScanOrder, scan_order

__all__ = [
    "ScanInputs",
    "ScanOrder",
    "causal_conv1d",
    "path_scan",
    "plain_selective_scan",
    "raster_causal_mask",
    "scan_order",
    "scan_states",
    "selective_scan",
]
