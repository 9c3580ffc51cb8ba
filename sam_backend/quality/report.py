"""All that is known of a project's quality, as JSON and as a page; bars that it has to pass."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sam_backend.datasets.pixels import read_pixels
from sam_backend.errors import ImageDecodeError
from sam_backend.json_form import as_json, words
from sam_backend.labelstudio.api.people import people_names
from sam_backend.masks.rle import decode
from sam_backend.metrics.agreement import FIGURES, Agreement, agreements
from sam_backend.metrics.comparison import Comparison
from sam_backend.metrics.drawing import Picture, View
from sam_backend.metrics.pages import Figure, render
from sam_backend.metrics.scorecards import (
    BOUNDARY_IOU,
    EXTRA,
    MATCHED_IOU,
    MISSING,
    QUALITY,
    SECONDS,
    WRONG_LABEL,
    Scorecard,
    shown,
)
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.current import current_calibration, keep_drift
from sam_backend.quality.calibration.fit import stale_reasons
from sam_backend.quality.calibration.gather import gather_judged
from sam_backend.quality.gold.scoring import GoldReport, Standing, score_project
from sam_backend.quality.plots import draw_reliability, draw_standings
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold, GoldImage

REPORT_JSON, REPORT_HTML = "report.json", "report.html"
RELIABILITY_PNG, RELIABILITY_JSON = "reliability.png", "reliability.json"
STANDINGS_PNG = "standings.png"
N_WORST = 4
_COLUMNS = (
    QUALITY,
    MATCHED_IOU,
    BOUNDARY_IOU,
    "precision@0.75",
    "recall@0.75",
    MISSING,
    EXTRA,
    WRONG_LABEL,
    SECONDS,
)


@dataclass(frozen=True, slots=True)
class Bars:
    """What a project has to pass; None: not asked.

    Attributes:
        annotators: Least quality (panoptic quality on gold) of each annotator.
        models: Likewise of each model version.
        calibration_error: Largest expected calibration error.
        proof: An accept threshold must be proven, and the calibration not stale.
    """

    annotators: float | None = None
    models: float | None = None
    calibration_error: float | None = None
    proof: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class QualityReport:
    """What is known.

    Attributes:
        project: Its number.
        at: When.
        gold: Who stands where.
        names: Names of people, by their id.
        agreements: Agreements of people with each other, the least first.
        calibrated: The calibration of the served model; None: there is none.
        stale: Why it should be calibrated anew.
        failures: Bars that are not passed.
    """

    project: int
    at: datetime
    gold: GoldReport
    names: Mapping[str, str]
    agreements: Sequence[Agreement]
    calibrated: CalibratedModel | None
    stale: Sequence[str]
    failures: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "project": self.project,
            "at": self.at.isoformat(),
            "failures": list(self.failures),
            "gold": self.gold.as_json(),
            "names": dict(self.names),
            "agreement": as_json(self.agreements),
            "calibration": None if self.calibrated is None else self.calibrated.as_json(),
            "stale": list(self.stale),
        }


def quality_report(
    project: Project,
    model_version: str,
    bars: Bars,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> QualityReport:
    """Look at everything.

    Args:
        project: The project.
        model_version: That is served.
        bars: To pass.
        observe: Told how many tasks of how many have been read.

    Raises:
        SamBackendError: There is no gold, or Label Studio cannot be asked.
    """
    gold, answers = score_project(project, observe)
    calibrated, now = current_calibration(project.database, model_version), datetime.now(UTC)
    stale: list[str] = []
    if calibrated is not None:
        # of the kinds that it rests on, as far as one can look at them here
        judged = gather_judged(
            project.settings,
            project.database,
            model_version,
            [project],
            with_gold="gold" in calibrated.sources,
        )
        stale = stale_reasons(calibrated, judged, now)
        keep_drift(project, calibrated, judged, now)
    names = people_names(project.client)
    return QualityReport(
        project=project.id,
        at=now,
        gold=gold,
        names=names,
        agreements=agreements(answers.people),
        calibrated=calibrated,
        stale=stale,
        failures=_failures(bars, gold, names, calibrated, stale),
    )


def write_report(report: QualityReport, database: Database, folder: Path) -> Path:
    """Write JSON, page and plots; returns the page.

    Args:
        report: What is known.
        database: Knows where trusted images are.
        folder: Made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_JSON).write_text(json.dumps(report.as_json(), indent=1) + "\n")
    gold = {image.digest: image for image in Gold(database).images()}
    standings = [*report.gold.annotators, *report.gold.models]
    names = {one.card.who: report.names.get(one.card.who, one.card.who) for one in standings}
    if standings:
        cards = [(names[one.card.who], one.card) for one in standings]
        draw_standings(cards, folder / STANDINGS_PNG)
    if report.calibrated is not None:
        write_reliability(report.calibrated, folder)
    text = render(
        __package__,
        "report.html",
        title=f"Quality of project {report.project}",
        report=report,
        columns=[words(name) for name in _COLUMNS],
        plot=_plot(folder / STANDINGS_PNG, "who stands where") if standings else None,
        standings={
            "People": _standings(report.gold.annotators, names),
            "Models": _standings(report.gold.models, names),
        },
        agreements=_agreements(report),
        agreement_columns=[words(name) for name in FIGURES],
        reliability=report.calibrated and _plot(folder / RELIABILITY_PNG, "reliability diagram"),
        details=[
            {
                "name": names[one.card.who],
                "faults": one.faults,
                "groups": {"label": _groups(one.labels), "week": _groups(one.weeks)},
                "worst": _worst(one, gold),
            }
            for one in standings
        ],
    )
    file = folder / REPORT_HTML
    file.write_text(text, encoding="utf-8")
    return file


def write_reliability(calibrated: CalibratedModel, folder: Path) -> None:
    """The reliability diagram before and after calibration, as PNG and JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_reliability(calibrated.before, calibrated.after, folder / RELIABILITY_PNG)
    (folder / RELIABILITY_JSON).write_text(json.dumps(calibrated.as_json(), indent=1) + "\n")


def _failures(
    bars: Bars,
    gold: GoldReport,
    names: Mapping[str, str],
    calibrated: CalibratedModel | None,
    stale: list[str],
) -> list[str]:
    found = []
    for bar, standings in ((bars.annotators, gold.annotators), (bars.models, gold.models)):
        for one in standings:
            value = one.card.value(QUALITY)
            if bar is not None and value is not None and value < bar:
                name = names.get(one.card.who, one.card.who)
                found.append(f"{name}: quality {value:.3f}, asked {bar:g}")
    error = bars.calibration_error
    if error is not None and (calibrated is None or calibrated.after.error > error):
        told = "unknown" if calibrated is None else f"{calibrated.after.error:.3f}"
        found.append(f"expected calibration error {told}, asked at most {error:g}")
    if bars.proof:
        if calibrated is None:
            found.append("nothing is known of the model: `sam-backend quality calibrate`")
        elif calibrated.accept is None:
            found.append(calibrated.explain_accept())
        found += [f"the calibration is stale: {reason}" for reason in stale]
    return found


def _plot(png: Path, caption: str) -> Figure:
    return Figure(png.read_bytes(), caption)


def _standings(group: Sequence[Standing], names: Mapping[str, str]) -> list[tuple[object, ...]]:
    return [
        (
            names[one.card.who],
            "; ".join(fault.name for fault in one.faults) or "none proven",
            one.card.images,
            *(_cell(one.card, name) for name in _COLUMNS),
            shown(one.card.ap),
            shown(one.card.ar),
        )
        for one in group
    ]


def _groups(cards: Mapping[str, Scorecard]) -> list[tuple[object, ...]]:
    return [
        (key, card.objects, *(_cell(card, column) for column in _COLUMNS[:-1]))
        for key, card in cards.items()
    ]


def _cell(card: Scorecard, name: str) -> str:
    return shown(card.figures[name], ".1f" if name == SECONDS else ".2f")


def _agreements(report: QualityReport) -> list[tuple[object, ...]]:
    return [
        (
            " and ".join(report.names.get(who, who) for who in one.people),
            one.images,
            *map(shown, one.figures.values()),
        )
        for one in report.agreements
    ]


def _worst(one: Standing, gold: Mapping[str, GoldImage]) -> list[Figure]:
    found: list[Figure] = []
    for image in one.images:
        worst = min(image.objects, key=_worth, default=None)
        if len(found) == N_WORST or worst is None or _worth(worst) == 1:
            break
        try:
            pixels = read_pixels(gold[image.answer.image].labelled)
        except ImageDecodeError:
            continue
        found.append(_pictured(pixels, worst))
    return found


def _worth(one: Comparison) -> float:
    """A wrong label is worse than any boundary."""
    if one.truth is None or one.found is None:
        return 0.0
    return one.iou if one.truth.label == one.found.label else 0.0


def _pictured(pixels: Picture, one: Comparison) -> Figure:
    answer = None if one.found is None else decode(one.found.rle)
    truth = np.zeros(pixels.shape[:2], np.bool_) if one.truth is None else decode(one.truth.rle)
    if one.truth is None or one.found is None:
        caption = "missing" if one.found is None else "too much"
    elif one.truth.label != one.found.label:
        caption = f"{one.found.label}, not {one.truth.label}"
    else:
        caption = f"IoU {one.iou:.2f}"
    view = View.of(pixels, truth if answer is None or truth.any() else answer)
    tile = View(pixels, truth, view.where, view.scale).tile(caption[:30], answer)
    return Figure.of(tile, caption)
