"""The real parts, each started once: Label Studio, this backend, Redis, Chromium."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from sam_backend.cli.process_setup import backend_process
from sam_backend.demo.local_server import LABEL_STUDIO_VERSION, LocalLabelStudio
from sam_backend.demo.server_process import bare_environment
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from tests.e2e.browser import LabellingPage, chromium
from tests.e2e.scene import Scene, draw_scene
from tests.system_packages import CHROMIUM, in_ci

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Folder of pictures that CI keeps."""
    folder = REPOSITORY / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def label_studio_program() -> Path:
    """The executable in the environment that `make test` makes."""
    folder = REPOSITORY / os.environ.get("LS_VENV", ".venv-label-studio")
    program = folder / "bin" / "label-studio"
    if not program.exists():
        reason = f"Label Studio {LABEL_STUDIO_VERSION} is not in {folder}: run `make test`"
        if in_ci():
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@pytest.fixture(scope="session")
def label_studio_tables(
    label_studio_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Label Studio's database with nobody and nothing in it, to be copied into a data folder.

    Making its tables is half a minute of a first start, so they are kept beside Label Studio
    between runs. The demo has to begin without.
    """
    folder = tmp_path_factory.mktemp("tables")
    tables = folder / "label_studio.sqlite3"
    kept = label_studio_program.parents[1] / f"tables-{LABEL_STUDIO_VERSION}.sqlite3"
    if kept.exists():
        return shutil.copy(kept, tables)
    (manage,) = label_studio_program.parents[1].glob("lib/*/site-packages/label_studio/manage.py")
    quiet = {"COLLECT_ANALYTICS": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
    subprocess.run(
        [label_studio_program.with_name("python"), manage, "migrate", "--verbosity", "0"],
        env=bare_environment() | {"LABEL_STUDIO_BASE_DATA_DIR": str(folder)} | quiet,
        check=True,
    )
    shutil.copy(tables, kept.with_suffix(f".{os.getpid()}.partial")).replace(kept)
    return tables


@pytest.fixture(scope="session")
def label_studio(
    label_studio_program: Path, label_studio_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalLabelStudio]:
    """Label Studio with a data folder of its own."""
    folder = tmp_path_factory.mktemp("label-studio")
    shutil.copy(label_studio_tables, folder)
    with LocalLabelStudio(label_studio_program, folder) as server:
        yield server


@contextmanager
def running_backend(folder: Path, **settings: str) -> Iterator[str]:
    """`sam-backend serve` with the starter, ready; yields its address."""
    with backend_process(folder, {"SAM_BACKEND_DATA_DIR": str(folder)} | settings) as server:
        yield server.origin


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a backend with default settings."""
    with running_backend(tmp_path_factory.mktemp("backend")) as url:
        yield url


@pytest.fixture(scope="session")
def model_version(backend: str) -> str:
    """The backend's model version, which names it in Label Studio."""
    return str(httpx.get(f"{backend}/versions").json()["versions"][0])


@pytest.fixture(scope="session")
def projects(label_studio: LocalLabelStudio) -> Iterator[Projects]:
    """Label Studio's project-making calls."""
    with Projects(label_studio.url, label_studio.account.token) as calls:
        yield calls


@pytest.fixture(scope="session")
def scene() -> Scene:
    """The image that the tests click on."""
    return draw_scene()


class OpenTask:
    """A task of a fresh project, open on the page."""

    def __init__(self, page: LabellingPage, projects: Projects, project: int, task: int) -> None:
        self.page, self.project, self.task = page, project, task
        self._projects = projects

    def saved_result(self) -> list[dict]:
        """The one annotation of the task as Label Studio's API gives it back."""
        (annotation,) = self._projects.task(self.task)["annotations"]
        return annotation["result"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium(CHROMIUM.require()) as running:
        yield running


@pytest.fixture(scope="session")
def cookies(browser: Browser, label_studio: LocalLabelStudio) -> list[dict]:
    """A session that has logged in through the form."""
    page = LabellingPage(browser, label_studio.url)
    page.login(label_studio.account.email, label_studio.account.password)
    cookies = page.context.cookies()
    page.close()
    return cookies


@pytest.fixture
def open_image(
    request: pytest.FixtureRequest,
    browser: Browser,
    cookies: list[dict],
    label_studio: LocalLabelStudio,
    projects: Projects,
    backend: str,
    model_version: str,
    artifacts: Path,
) -> Iterator[Callable[[bytes, str], OpenTask]]:
    """Opens an image file in a new project, ready for prompts; a picture is kept at the end.

    The project's config is a template by its name, or given as XML.
    """
    page = LabellingPage(browser, label_studio.url)
    page.context.add_cookies(cookies)

    def opened(image: bytes, output: str) -> OpenTask:
        config = output if output.startswith("<View") else template(output)
        project = projects.create(f"e2e {request.node.name}"[:50], config)
        (task,) = projects.upload(project, {"image.png": image})
        projects.connect_backend(project, backend, model_version)
        page.open_task(project, task)
        page.turn_on_auto_annotation()
        return OpenTask(page, projects, project, task)

    yield opened
    page.screenshot(artifacts / f"{request.node.name}-end.png")
    page.close()


@pytest.fixture
def open_task(
    request: pytest.FixtureRequest, open_image: Callable[[bytes, str], OpenTask], scene: Scene
) -> OpenTask:
    """The scene in a new project of the template that the test names (default brush)."""
    return open_image(scene.png, getattr(request, "param", "brush"))
