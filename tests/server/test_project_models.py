"""A model per project behind the wire: named by /setup or by the command, kept, told, forged."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from safetensors.torch import save_file

from sam_backend.server.app import create_app
from sam_backend.server.protocol import PredictRequest, SetupRequest
from sam_backend.server.service import Service
from sam_backend.server.status_page import render_status
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.models import open_store
from sam_backend.store.project_models import ProjectModels
from tests.canned_server import CannedServer, canned_server
from tests.sam.networks import random_starter
from tests.server.playing import CONFIG, disc_image, png, point, reasons, serving

pytestmark = pytest.mark.usefixtures("one_thread")

CATS, CELLS, OTHERS = "1.1795443184", "2.1795443190", "3.1795443199"
IMAGE = png(disc_image((64, 80), 40, 30, 14, (200, 40, 30)))


@pytest.fixture
def studio() -> Iterator[CannedServer]:
    routes: dict[str, Any] = {
        "GET /image.png": (200, IMAGE),
        "GET /api/ml/": (200, []),
        "GET /api/tasks/": (200, {"tasks": [], "total": 0}),
    }
    for number in (1, 2, 3):
        routes[f"GET /api/projects/{number}/"] = (200, {"model_version": ""})
        routes[f"PATCH /api/projects/{number}/"] = (200, {})
    with canned_server(routes) as server:
        yield server


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(random_starter().state_dict(), file)
    return file


@pytest.fixture
def settings(tmp_path: Path, weights: Path) -> Settings:
    """The shipped starter, and `mine` beside it."""
    made = Settings(data_dir=tmp_path, label_studio_hosts="*")
    open_store(made).add(weights, "mine")
    return made


def set_up(service: Service, url: str, project: str, extra: Any = None, token: str = "t") -> str:
    """What /setup answers."""
    return service.setup(
        SetupRequest(
            project=project,
            schema=CONFIG,
            hostname=url,
            access_token=token,
            extra_params=extra,
        )
    )


def click(service: Service, project: str) -> str:
    """The version that answers a click."""
    request = PredictRequest(
        tasks=[{"id": 1, "data": {"image": "/image.png"}}],
        project=project,
        label_config=CONFIG,
        params={"context": {"result": [point(50, 48, original_width=80, original_height=64)]}},
    )
    (prediction,) = service.predict(request).content["results"]
    assert prediction["result"]
    return str(prediction["model_version"]).partition("+")[0]


def test_each_project_is_answered_by_the_model_that_it_names(
    settings: Settings, studio: CannedServer
) -> None:
    with Service.start(settings) as service:
        for project, extra, version in (
            (CATS, {"model": "mine"}, "mine"),
            (CELLS, '{"model": "starter_lite"}', "starter-3"),
            (OTHERS, None, "starter-3"),
        ):
            answer = set_up(service, studio.url, project, extra)
            assert answer.startswith(f"{version}+")
            assert click(service, project) == version
        assert reasons(service) == []
        told = service.project_versions()
        assert {name: version.partition("+")[0] for name, version in told.items()} == {
            CATS: "mine",
            CELLS: "starter-3",
        }
        set_up(service, studio.url, CATS, {})
        assert click(service, CATS) == "starter-3", "it is taken back"


def test_a_restart_remembers_the_model_without_a_setup(
    settings: Settings, studio: CannedServer
) -> None:
    with Service.start(settings) as service:
        set_up(service, studio.url, CATS, {"model": "mine"})
        set_up(service, studio.url, CELLS)
        ProjectModels(open_store(settings)).use(CELLS, "mine", "for the test", "a test")
    with Service.start(settings) as service:
        assert [click(service, project) for project in (CATS, CELLS)] == ["mine", "mine"]


def test_a_forged_setup_changes_no_known_projects_model(
    settings: Settings, studio: CannedServer
) -> None:
    with Service.start(settings) as service:
        set_up(service, studio.url, CATS, {"model": "mine"})
        for url in (studio.url, "http://127.0.0.1:1"):
            answer = set_up(service, url, CATS, {"model": "starter-3"}, token="forged")
            assert answer.startswith("mine+")
        service._settling.shutdown(wait=True)
        assert click(service, CATS) == "mine"
    with Service.start(settings) as service:
        assert click(service, CATS) == "mine"


def test_what_an_operator_gives_goes_before_what_setup_names_and_is_followed_at_once(
    settings: Settings, studio: CannedServer
) -> None:
    models = ProjectModels(open_store(settings))
    with Service.start(settings) as service:
        set_up(service, studio.url, CATS, {"model": "mine"})
        assert click(service, CATS) == "mine"
        models.use(CATS, "starter-3", "for the test", "a test")
        assert click(service, CATS) == "starter-3"
        assert set_up(service, studio.url, CATS, {"model": "mine"}).startswith("starter-3+")
        models.use(CATS, None, "for the test", "a test")
        assert click(service, CATS) == "mine"


def test_a_projects_promotion_is_served_to_it_alone(
    settings: Settings, studio: CannedServer, weights: Path
) -> None:
    store = open_store(settings)
    store.add(weights, "mine-r1", challenger=True, parent="mine")
    with Service.start(settings) as service:
        for project in (CATS, CELLS):
            set_up(service, studio.url, project, {"model": "mine"})
        set_up(service, studio.url, OTHERS)
        assert click(service, CATS) == "mine"
        ProjectModels(store).promote(CATS, "mine-r1", "better", "the gate", extra="mine")
        while click(service, CATS) != "mine-r1":  # its old one goes on while it loads
            pass
        assert click(service, CELLS) == "mine"
        assert click(service, OTHERS) == "starter-3"
        assert service.status().champions == [], "nothing was promoted for all"


def test_an_unknown_name_is_told_and_the_default_answers_until_it_is_there(
    settings: Settings, studio: CannedServer, weights: Path
) -> None:
    with Service.start(settings) as service:
        answer = set_up(service, studio.url, CATS, {"model": "nosuch"})
        assert answer.startswith("starter-3+")
        assert [click(service, CATS) for _ in range(2)] == ["starter-3"] * 2
        (reason,) = reasons(service)
        assert reason.startswith(f"project {CATS} asks for no model 'nosuch' in the store (here: ")
        assert "The default model starter-3+" in reason
        (told,) = service.status().project_models
        assert (told.names, told.named_by) == ("nosuch", "extra_params")
        assert told.answered_by.startswith("starter-3+")
        assert "nosuch" in told.problem
        open_store(settings).add(weights, "nosuch")
        assert click(service, CATS) == "nosuch"


def test_extra_params_that_cannot_be_read_change_nothing(
    settings: Settings, studio: CannedServer
) -> None:
    with Service.start(settings) as service:
        set_up(service, studio.url, CATS, {"model": "mine"})
        for wrong in ({"model": 7}, {"modl": "mine"}, "{"):
            set_up(service, studio.url, CATS, wrong)
        assert click(service, CATS) == "mine"
        assert len(reasons(service)) == 3


def test_status_and_metrics_name_each_model(settings: Settings, studio: CannedServer) -> None:
    with Service.start(settings) as service, serving(create_app(service, settings)) as url:
        set_up(service, studio.url, CATS, {"model": "mine"})
        set_up(service, studio.url, CELLS, {"model": "nosuch"})
        click(service, CATS)
        report = service.status()
        default, mine = report.models
        assert (default.is_default, default.projects) == (True, ())
        assert mine.version.startswith("mine+")
        assert (mine.state, mine.is_default, mine.projects) == ("ready", False, (CATS,))
        assert mine.memory_mb > 1
        page = render_status(report)
        assert f"<b>{mine.version}</b>" in page
        assert "nosuch" in page
        versions = httpx.get(f"{url}/versions").json()
        assert versions["versions"][0] == default.version
        assert versions["projects"] == {CATS: mine.version}
        families = {
            family.name: {tuple(one.labels.values()): one.value for one in family.samples}
            for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
        }
    assert families["sam_backend_models_loaded"][mine.version, "ready"] == 1
    assert families["sam_backend_model_bytes"][mine.version,] > 2**20
    assert families["sam_backend_model_projects"][mine.version,] == 1
    assert families["sam_backend_model_projects"][default.version,] == 0


def test_a_project_that_names_nothing_sees_no_table_of_models(settings: Settings) -> None:
    with Service.start(settings) as service:
        report = service.status()
    assert [one.is_default for one in report.models] == [True]
    assert report.project_models == []
    assert "A model per project" not in render_status(report)


def test_opening_and_online_prefill_use_the_projects_model(
    settings: Settings, studio: CannedServer
) -> None:
    few = settings.model_copy(update={"prefill": {"parameters": {"points_per_side": 2}}})
    database = open_database(few)
    with Service.start(few, database=lambda: database) as service:
        set_up(service, studio.url, CATS, {"model": "mine"})
        tasks = [{"id": n, "data": {"image": "/image.png"}} for n in (1, 2)]
        opened = PredictRequest(tasks=tasks[:1], project=CATS, label_config=CONFIG)
        service.predict(opened)
        service._prefetch._opened._pool.shutdown(wait=True)
        assert [one.version.partition("+")[0] for one in service.status().models] == [
            "starter-3",
            "mine",
        ]
        assert service.status().embeddings.encoded == 1
        click(service, CATS)
        assert service.status().embeddings.encoded == 1, "it was encoded by its own model"
        both = PredictRequest(tasks=tasks, project=CATS, label_config=CONFIG)
        predictions = service.predict(both).content["results"]
        assert {one["model_version"].partition("+")[0] for one in predictions} == {"mine"}
        deadline = time.monotonic() + 60
        while not (shown := studio.asked("PATCH /api/projects/1/")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert shown[0].body["model_version"].startswith("mine+"), (
            "Label Studio's own field follows"
        )
    database.close()


def test_the_memory_setting_bounds_the_models(settings: Settings, studio: CannedServer) -> None:
    small = settings.model_copy(update={"models_memory_mb": 25})
    with Service.start(small) as service:
        set_up(service, studio.url, CATS, {"model": "mine"})
        assert click(service, CATS) == "starter-3"
        assert "SAM_BACKEND_MODELS_MEMORY_MB allows 25 MB" in reasons(service)[0]


def test_an_old_data_folder_works_on(settings: Settings, studio: CannedServer) -> None:
    """One of a release that knew no models of projects."""
    (settings.data_dir / "connections.json").write_text(
        json.dumps({CATS: [{"url": studio.url, "token": "t", "caller": "", "state": "accepted"}]})
    )
    open_store(settings).promote("mine", "for the test", "a test")
    with Service.start(settings) as service:
        assert click(service, CATS) == "mine"
        assert not (settings.data_dir / "model_store" / "projects.json").exists()
