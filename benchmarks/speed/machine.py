"""What the figures were measured on, and how fast it multiplies matrices."""

import os
import platform
import re
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "segment-anything", "numpy", "numba", "label-studio-sdk", "sam-backend")
_MATMUL_SIDE = 2048
_MATMUL_ROUNDS = 7

ENCODER_FLOP = {"vit_b": 0.97e12, "vit_l": 2.99e12, "vit_h": 5.96e12}
"""Arithmetic of one image (issue 4)."""
DECODER_FLOP = 3.6e9
"""Arithmetic of one prompt with SAM's decoder, as `segment_anything` runs it (issue 4)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run took place.

    Attributes:
        device: As results name it, such as `cpu-amd-epyc-2-cores`.
        description: One sentence.
        date: Of the run, ISO.
        versions: Of the packages that matter.
        tflops: Measured matrix products, float32 and bfloat16, in 1e12 operations a second.
    """

    device: str
    description: str
    date: str
    versions: dict[str, str]
    tflops: dict[str, float]


def examine(device: str, threads: int) -> Machine:
    """Look at the machine; takes a second or two of its time."""
    torch.set_num_threads(threads)
    chip, told = _cuda(device) if device != "cpu" else _cpu(threads)
    slug = re.sub(r"[^a-z0-9]+", "-", chip.lower()).strip("-")
    kind = "cpu" if device == "cpu" else "cuda"
    return Machine(
        device=f"{kind}-{slug}",
        description=told,
        date=datetime.now(UTC).date().isoformat(),
        versions={"Python": platform.python_version()} | _versions(),
        tflops={
            "float32": matmul_tflops(device, torch.float32),
            "bfloat16": matmul_tflops(device, torch.bfloat16),
        },
    )


def matmul_tflops(device: str, dtype: torch.dtype) -> float:
    """1e12 operations a second in square matrix products; the median of several."""
    a = torch.randn(_MATMUL_SIDE, _MATMUL_SIDE, device=device).to(dtype)
    seconds = []
    for _ in range(_MATMUL_ROUNDS):
        start_s = time.perf_counter()
        a @ a
        if device != "cpu":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start_s)
    return 2 * _MATMUL_SIDE**3 / statistics.median(seconds[1:]) / 1e12


def limit_s(model: str, n_prompts: int, tflops: float) -> float | None:
    """Seconds that the arithmetic of an image and its prompts takes at least; None: not known."""
    if model not in ENCODER_FLOP:
        return None
    return (ENCODER_FLOP[model] + n_prompts * DECODER_FLOP) / (tflops * 1e12)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def _cuda(device: str) -> tuple[str, str]:
    chip = torch.cuda.get_device_name(device)
    major, minor = torch.cuda.get_device_capability(device)
    return chip, f"{chip}, capability {major}.{minor}, CUDA {torch.version.cuda}"


def _cpu(threads: int) -> tuple[str, str]:
    name, flags = _cpu_info()
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    has = ", ".join(one for one in FEATURES if one in flags) or "no known features"
    lacks = ", ".join(one for one in FEATURES if one not in flags)
    told = f"{name}, {cores} cores, {threads} threads; {has}" + (f"; no {lacks}" if lacks else "")
    return f"{name} {cores} cores", told


def _cpu_info() -> tuple[str, set[str]]:
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    names = re.findall(r"^model name\s*:\s*(.+)$", text, re.M)
    flags = re.findall(r"^flags\s*:\s*(.+)$", text, re.M)
    name = names[0] if names else platform.processor() or platform.machine()
    return name, set(flags[0].split()) if flags else set()
