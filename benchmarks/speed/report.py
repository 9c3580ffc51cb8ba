"""The page beside the JSON: what was measured on what, and all that the rows leave out."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed.extras import Extra
from benchmarks.speed.machine import Machine, limit_s
from benchmarks.speed.plan import REFERENCES
from benchmarks.speed.results import Finding, seconds, table
from benchmarks.speed.rounds import ratio_range


def write_report(machine: Machine, findings: Sequence[Finding], path: Path) -> None:
    """Write the ratios and all that tells how good they are, as Markdown."""
    parts = [
        f"# {machine.device}, {machine.date}",
        _head(machine),
        table([finding.row(machine.device) for finding in findings]),
        *(
            _section(extra)
            for extra in (
                _behind(findings),
                _equality(findings),
                _limits(findings, machine),
            )
            if extra.rows
        ),
    ]
    _write(parts, path)


def write_extras(machine: Machine, extras: Sequence[Extra], path: Path) -> None:
    """Write what is reported beside the ratios, as Markdown."""
    _write([f"# {machine.device}, {machine.date}", _head(machine), *map(_section, extras)], path)


def _write(parts: Sequence[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _head(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    speeds = ", ".join(f"{name} {speed:.3g} TFLOP/s" for name, speed in machine.tflops.items())
    return (
        f"{machine.description}. {versions}. Matrix products in this run: {speeds}.\n\n"
        "Ours under the tuned allocator, as `sam-backend` starts; medians of interleaved rounds; "
        "a ratio above 1 means ours is faster."
    )


def _behind(findings: Sequence[Finding]) -> Extra:
    default, tuned = REFERENCES
    rows = [
        (
            *_names(finding),
            str(len(finding.samples[default].seconds)),
            *(
                f"{low:.2f} to {high:.2f}"
                for low, high in (
                    ratio_range(finding.samples, default, finding.contestant),
                    ratio_range(finding.samples, tuned, finding.contestant),
                )
            ),
            f"{finding.samples[default].spread:.2f}",
            f"{finding.samples[finding.contestant].spread:.2f}",
            seconds(finding.first_call_s),
        )
        for finding in findings
    ]
    columns = (
        *("path", "model", "dtype", "rounds", "ratios to default", "ratios to tuned"),
        *("slowest over fastest, reference", "… ours", "our first call"),
    )
    return Extra(
        "Single rounds, and our first call (kernels load, attention is chosen, `torch.compile` "
        "runs; the generator's with one batch of points)",
        columns,
        rows,
    )


def _equality(findings: Sequence[Finding]) -> Extra:
    rows = [
        (
            *_names(finding),
            "; ".join(f"{name} {value:.3g}" for name, value in finding.figures.items()),
            "; ".join(finding.faults) or "none",
        )
        for finding in findings
    ]
    return Extra("Equal masks", ("path", "model", "dtype", "figures", "faults"), rows)


def _limits(findings: Sequence[Finding], machine: Machine) -> Extra:
    default = REFERENCES[0]
    rows = []
    for finding in findings:
        if finding.case.path not in ("first_click", "amg"):
            continue
        n_prompts = finding.case.points_per_side**2 if finding.case.path == "amg" else 1
        speed = machine.tflops[finding.contestant.dtype]
        limit = limit_s(finding.case.model, n_prompts, speed)
        theirs = limit_s(finding.case.model, n_prompts, machine.tflops["float32"])
        if limit is None or theirs is None:
            continue
        ours_s = finding.samples[finding.contestant].median_s
        reference_s = finding.samples[default].median_s
        rows.append(
            (
                *_names(finding),
                seconds(limit),
                f"{ours_s / limit:.2f}",
                f"{reference_s / theirs:.2f}",
            )
        )
    return Extra(
        "Time over the arithmetic's at the measured matrix speed (the reference's arithmetic: ours "
        "leaves some out, so that less than 1 is possible)",
        ("path", "model", "dtype", "arithmetic", "ours over it", "reference over its own"),
        rows,
    )


def _names(finding: Finding) -> tuple[str, str, str]:
    return finding.case.path, finding.case.model, finding.contestant.label


def _section(extra: Extra) -> str:
    lines = [f"| {' | '.join(extra.columns)} |", "|---" * len(extra.columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in extra.rows]
    return f"## {extra.title}\n\n" + "\n".join(lines)
