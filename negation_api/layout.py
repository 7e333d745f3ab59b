"""How the machine is used: its CPUs, worker processes, threads in each.

Found out where the process runs; what a deployment chooses is in ``settings.py``.
"""

import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from negation_api.settings import Settings

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(settings: Settings, cgroup: Path = _CGROUP) -> int:
    """Count the CPUs to compute on, unless *settings* does; half a CPU is one."""
    return settings.cpus or max(1, ceil(cpu_quota(cgroup)))


def cpu_quota(cgroup: Path = _CGROUP) -> float:
    """Give the CPUs that this process may use, its container's quota included.

    The quota is read from cgroup v2 (``cpu.max``), then v1
    (https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu).
    """
    cpus = len(os.sched_getaffinity(0))
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / f).read_text() for f in files).split()
            quota = float("inf") if quota in ("max", "-1") else int(quota)
            return min(cpus, quota / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue  # no such version of cgroups, or nothing that can be read
    return cpus


@dataclass(frozen=True)
class Layout:
    """Worker processes, and inference threads in each."""

    workers: int
    threads: int

    @classmethod
    def of(cls, settings: Settings) -> "Layout":
        """Two workers, and a thread for each CPU, unless *settings* says otherwise."""
        threads = settings.inference_threads or available_cpus(settings)
        return cls(settings.web_concurrency or 2, threads)


def pinned_cpus(settings: Settings, cgroup: Path = _CGROUP) -> list[int]:
    """Give the CPUs that threads are kept to.

    None unless each has a thread, or with another number to compute on than there are:
    a quota is of no CPU in particular.
    """
    cpus = sorted(os.sched_getaffinity(0))
    threads = Layout.of(settings).threads
    num_used = available_cpus(settings, cgroup)
    all_used = threads == num_used == len(cpus) == cpu_quota(cgroup)
    return cpus if settings.pin_cpus and all_used else []
