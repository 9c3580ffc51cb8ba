"""`/metrics` and the dashboard's figures: what they tell, and that they tell no person."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sam_backend.errors import SamBackendError
from sam_backend.projects.measured import GoldScores
from sam_backend.server.metrics import COLLECTORS
from sam_backend.serving.timing import StageClock
from sam_backend.store.measurements import Measurements
from sam_backend.store.revisions import SAVED, Observation, Revisions, Subject
from tests.projects.working_project import HOST, PROJECT, label
from tests.server.watched_server import NOW, connect, first_day, serving
from tests.system_packages import PROMETHEUS

MONITORING = Path(__file__).parents[2] / "docker" / "monitoring"


def read(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by metric, and by the values of their labels in the order of their names."""
    answer = httpx.get(f"{url}/metrics")
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            key = tuple(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name, {})[key] = sample.value
    return found


def test_metrics_dashboard_and_history_tell_the_same(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, service):
        service.wait_until_loaded()
        clock = StageClock()
        with clock.span("decode"):
            pass
        service.monitor.answered("click", 0.03, "", clock)
        service.monitor.answered("click", 0.5, "the image is gone", clock)
        told = read(url)
        figures = httpx.get(f"{url}/dashboard/figures", params={"project": 3}).json()
        other = httpx.get(f"{url}/dashboard/figures?project=8").json()
        assert other["failure"] == "project 8 has not called /setup"
        assert (other["board"], other["projects"]) == (None, [3])
        assert service.journal.entries() == [], "a page that asks every three seconds fills none"
    board, server = figures["board"], figures["server"]
    assert (board["people"], figures["names"]) == (None, {})
    assert "annotators" not in board["gold"]
    assert told["sam_backend_up"][()] == 1
    assert told["sam_backend_stage"][("3",)] == 3
    for stage, annotations, masks in (("1", 60, 1200), ("2", 60, 3000), ("3", 30, 2100)):
        assert told["sam_backend_annotations"][("3", stage)] == annotations
        assert told["sam_backend_masks"][("3", stage)] == masks
        (course,) = [one for one in board["course"] if one["stage"] == stage]
        assert (course["annotations"], course["masks"]) == (annotations, masks)
        ended = course["seconds_per_mask"]["end"]["value"]
        assert told["sam_backend_seconds_per_mask"][("3", stage)] == pytest.approx(ended)
    assert board["policies"]["1"]["paper_seconds_a_mask"] == [34, 14]
    assert {one["by"] for one in board["moves"]} == {board["stage"]["move"]["by"]} == {""}
    assert (
        told["sam_backend_gold_iou"][("3",)]
        == board["gold"]["people"]["matched_iou"]["value"]
        == 0.91
    )
    triage = {"accepted": 30, "review": 15, "discarded": 55}
    assert board["triage"]["masks"] == triage
    assert board["triage"]["shares"] == {"accepted": 0.3, "review": 0.15, "discarded": 0.55}
    assert board["triage"]["tasks"] == {"done": 1}
    assert told["sam_backend_prefilled_masks"] == {(name, "3"): n for name, n in triage.items()}
    assert told["sam_backend_calibration_drift"][("3",)] == 0.04
    assert [one["drift"]["value"] for one in board["calibration"]["drift"]] == [0.01, 0.04]
    assert told["sam_backend_queued_tasks"] == {("3",): 3}
    assert board["queues"] == {"tasks": 3, "people": 2, "longest": 2}
    assert told["sam_backend_lots"] == {("3", "accept"): 1, ("3", "reject"): 1}
    assert told["sam_backend_project_alert"][("3", "lot_rejected", "critical")] == 1
    assert told["sam_backend_project_alert"][("3", "calibration_drift", "warning")] == 0
    assert [one["rule"] for one in figures["alerts"]] == ["lot_rejected"]
    assert told["sam_backend_request_seconds_count"][("click",)] == 2
    assert told["sam_backend_errors_total"][("click",)] == 1
    assert told["sam_backend_click_stage_seconds_count"][("decode",)] == 2
    activity = server["activity"]
    assert activity["clicks"]["n"] == 2
    assert activity["clicks"]["p50_s"] == pytest.approx(0.265)
    assert (activity["errors"], activity["last_error"]) == (1, "the image is gone")
    assert [one["stage"] for one in board["moves"]] == ["1", "2", "3"]
    assert board["retrainings"][0]["version"] == "starter-2-r1"
    assert board["lately"]["annotations"] <= 6


def test_prometheus_and_grafana_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _):
        text = httpx.get(f"{url}/metrics").text
    known = {family.name for family in text_string_to_metric_families(text)}
    asked = {
        re.sub("_(bucket|sum|count|total)$", "", name)
        for file in MONITORING.rglob("*")
        if file.is_file()
        for name in re.findall(r"\bsam_backend_[a-z0-9_]+", file.read_text())
    }
    assert len(asked) > 15
    assert asked <= known


def test_grafana_is_provisioned_with_what_is_there() -> None:
    (source,) = yaml.safe_load(
        (MONITORING / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )["datasources"]
    shown = json.loads((MONITORING / "dashboards" / "sam_backend.json").read_text())
    assert {panel["datasource"]["uid"] for panel in shown["panels"]} == {source["uid"]}
    assert len({panel["id"] for panel in shown["panels"]}) == len(shown["panels"])
    places = [panel["gridPos"] for panel in shown["panels"]]
    assert max(place["x"] + place["w"] for place in places) <= 24


def test_prometheus_takes_configuration_and_rules() -> None:
    program = PROMETHEUS.require()
    for kind, file in (("config", "prometheus.yaml"), ("rules", "alerts.yaml")):
        checked = subprocess.run(
            [program, "check", kind, str(MONITORING / file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_metrics_outlive_a_database_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise SamBackendError("the database is away")

    with serving(tmp_path) as (url, _):
        monkeypatch.setattr("sam_backend.server.boards.board_of", fail)
        told = read(url)
        answer = httpx.get(f"{url}/dashboard/figures")
    assert "sam_backend_device_queue" in told
    assert told.get("sam_backend_stage", {}) == {}
    assert answer.json()["failure"] == "the database is away"
    assert answer.json()["alerts"] == []


def test_the_first_day_has_metrics_and_a_dashboard(tmp_path: Path) -> None:
    """No project, one just connected, one with an empty annotation, in no stage."""
    with first_day(tmp_path) as (url, service, database):
        told, page = read(url), httpx.get(f"{url}/dashboard/figures").json()
        assert no_errors(told)
        assert "Connect Model" in page["failure"]
        connect(service)
        told, page = read(url), httpx.get(f"{url}/dashboard/figures").json()
        assert no_errors(told)
        assert told["sam_backend_stage"] == {(str(PROJECT),): 0}
        assert page["board"]["failures"] == {}
        assert page["board"]["course"] == page["board"]["trade_off"] == []
    with first_day(tmp_path / "empty") as (url, service, database):
        connect(service)
        label(database, NOW, [8.0])
        empty = Observation(
            Subject.ANNOTATION, 2, SAVED, {"result": []}, 2, "1", NOW, 0, "1", NOW, 5
        )
        Revisions(database, HOST, PROJECT).add([empty], "reading", NOW)
        told, page = read(url), httpx.get(f"{url}/dashboard/figures").json()
        assert no_errors(told)
        assert told["sam_backend_annotations"] == {(str(PROJECT), "none"): 2}
        assert page["board"]["failures"] == {}
        assert [one["annotations"] for one in page["board"]["course"]] == [2]


def no_errors(told: dict[str, dict[tuple[str, ...], float]]) -> bool:
    counts = told["sam_backend_metrics_errors_total"]
    assert set(counts) == {(name,) for name in COLLECTORS}, "from the first scrape on"
    return not any(counts.values())


def test_one_odd_figure_costs_itself_alone_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as (url, service):
        odd = {"images": 1, "people": "?", "models": [], "annotators": [], "answers": []}
        database = service.boards._database()
        assert database is not None
        Measurements(database, HOST, PROJECT).add(GoldScores.KIND, odd, datetime.now(UTC))
        told, page = read(url), httpx.get(f"{url}/dashboard/figures").json()
        assert told["sam_backend_metrics_errors_total"][("board",)] >= 1
        assert "sam_backend_gold_iou" not in told
        assert told["sam_backend_annotations"][("3", "1")] == 60
        assert told["sam_backend_project_alert"][("3", "lot_rejected", "critical")] == 1
        failures = page["board"]["failures"]
        assert "gold" in failures
        assert failures["gold"].startswith("the gold measurement of")
        assert page["board"]["triage"]["masks"]["accepted"] == 30

        def broken(*_: Any) -> None:
            raise ZeroDivisionError("secret data")

        service.boards._kept.clear()
        monkeypatch.setattr("sam_backend.server.boards.board_of", broken)
        monkeypatch.setattr(service.monitor, "figures", broken)
        told, page = read(url), httpx.get(f"{url}/dashboard/figures").json()
        errors = told["sam_backend_metrics_errors_total"]
        assert errors[("status",)] == 1
        assert "sam_backend_up" not in told
        assert "sam_backend_request_seconds_bucket" not in told, "nobody has asked for anything"
        reason = "internal error ZeroDivisionError, see the backend's log"
        assert (page["failure"], page["server_failure"], page["server"]) == (reason, reason, None)
    assert "secret data" in caplog.text
