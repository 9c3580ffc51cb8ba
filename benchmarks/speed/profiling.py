"""Where the time of a call goes."""

import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity

OUTSIDE = "outside torch (our kernels, Python)"


def profile(call: Callable[[], object], device: str, n_most: int) -> list[tuple[str, float]]:
    """The operators that take the most time themselves, and all that is not torch's.

    Args:
        call: Is run once.
        device: `cpu`, or a CUDA device, whose kernels are counted then.
        n_most: Entries.

    Returns:
        Names and shares of the wall time, the largest first.
    """
    on_cpu = device == "cpu"
    activities = [ProfilerActivity.CPU] + ([] if on_cpu else [ProfilerActivity.CUDA])
    with torch.profiler.profile(activities=activities) as profiler:
        start_s = time.perf_counter()
        call()
        if not on_cpu:
            torch.cuda.synchronize(device)
        wall_us = (time.perf_counter() - start_s) * 1e6
    spent = [
        (event.key, event.self_cpu_time_total if on_cpu else event.self_device_time_total)
        for event in profiler.key_averages()
    ]
    spent.append((OUTSIDE, max(0.0, wall_us - sum(us for _, us in spent))))
    spent.sort(key=lambda one: -one[1])
    return [(name, us / wall_us) for name, us in spent[:n_most]]
