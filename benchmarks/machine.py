"""What a number was measured on: machine, versions, and how much others used of it meanwhile."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "numba", "numpy", "timm", "grad-cam", "gradio")


def machine() -> dict[str, str | int | None]:
    """The processor as its maker calls it, the cores this process may use, and the system."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages whose speed is measured along with ours."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def load() -> float | None:
    """Processes that wanted to run, averaged over the last minute; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text(encoding="utf-8").splitlines())
        about = {key.strip(): value.strip() for key, _, value in reversed(list(lines))}
        if "model name" in about:
            model = f"family {about.get('cpu family')}, model {about.get('model')}"
            return f"{about['model name']} ({model})"
    return platform.processor() or platform.machine()


class Others:
    """The share of the machine that was used by others, or taken by its host, since it was made.

    Processes that this one started count as its own once they have ended.
    """

    def __init__(self) -> None:
        self._start = _ticks()

    def share(self) -> float | None:
        """Between 0 and 1; None where the system does not say."""
        now = _ticks()
        if self._start is None or now is None or now[1] <= self._start[1]:
            return None
        busy, total, own = (after - before for after, before in zip(now, self._start, strict=True))
        return min(1.0, max(0.0, (busy - own) / total))


def _ticks() -> tuple[float, float, float] | None:
    """Seconds of all cores: busy, all, and busy for this process and its ended children."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    first = stat.read_text(encoding="utf-8").split("\n", 1)[0]
    user, nice, system, idle, waiting, irq, softirq, stolen = map(int, first.split()[1:9])
    busy = user + nice + system + irq + softirq + stolen
    ticks = os.sysconf("SC_CLK_TCK")
    own = sum(os.times()[:4])
    return busy / ticks, (busy + idle + waiting) / ticks, own
