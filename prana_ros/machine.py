"""The machine that a figure was measured on."""

import os
import platform
from pathlib import Path

_LOAD_BEFORE = os.getloadavg()[0]


def machine() -> dict[str, object]:
    """Return what a figure of this machine depends on; the load is that of when this module was imported."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(_LOAD_BEFORE, 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
