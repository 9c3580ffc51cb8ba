"""`sam-backend demo`: a private Label Studio, this backend and a project of photos to click."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, Self

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from sam_backend.cli.demo_model import HOW_TO_GET_VIT_B, has_better, offer_better
from sam_backend.cli.listening import check_free
from sam_backend.cli.paths import output_folder
from sam_backend.cli.process_setup import backend_process
from sam_backend.demo.local_server import LocalLabelStudio, ensure_label_studio_env
from sam_backend.demo.server_process import ServerProcess
from sam_backend.errors import SamBackendError
from sam_backend.files import lock
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.settings import Settings
from sam_backend.store.models import open_store, own_store

PROJECT_TITLE = "SAM demo"

NOT_PASSED_ON = ("HOST", "PORT", "BASIC_AUTH_", "LABEL_STUDIO_")
"""Settings of ours that would lead the demo's backend away from the demo's Label Studio."""

_BACKEND_GRACE_S = 40.0
"""A retraining under way keeps what it has learned before its worker ends."""

READY = """
Ready. Open [bold]{url}[/bold]
  login     {email}
  password  {password}

What to click:
  1. Open the first image of the project.
  2. At the bottom, switch on [bold]Auto-Annotation[/bold].
  3. In the toolbar on the right, hover the pink button and take the [bold]points[/bold] tool.
  4. Choose the label [bold]Object[/bold] after "Click" (or press 1), click on an object: its mask
     appears.
  5. Not right yet? Choose the label again and click what is missing, or Alt+click what is too much.
     Or take the box tool and a label after "Box" (keys 4 to 6), and drag a box.
  6. Press the green tick to keep the mask, then [bold]Submit[/bold].
Many objects: in the settings (the button beside undo and redo at the bottom) switch on
[bold]Keep label selected after creating a region[/bold]. All of it with pictures is in
docs/annotators.md.

Model: {model}{better}. What the backend did and why: {backend}/status
Data:  {folder}
Commands find the demo's project by SAM_BACKEND_DATA_DIR={data}
Ctrl-C stops everything; the next start finds it again.
"""


class _Stopped(BaseException):
    """A signal asked us to end."""


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="Folder for all that the demo keeps. If left out, one in the user's data folder.",
            callback=output_folder,
        ),
    ] = None,
    label_studio_env: Annotated[
        Path | None,
        typer.Option(
            envvar="LS_VENV",
            help="Virtual environment with Label Studio, made if it is missing. If left out, one "
            "in --dir.",
        ),
    ] = None,
    label_studio_port: Annotated[
        int, typer.Option(help="Port of Label Studio; 0 takes a free one.")
    ] = 0,
    output: Annotated[
        str, typer.Option(help="What masks become: brush, polygon, rectangle or bitmask.")
    ] = "brush",
) -> None:
    """Try it all on this machine: Label Studio, this backend and a project with photos."""
    console = Console(stderr=True, highlight=False)
    folder = (folder or Settings().data_dir / "demo").absolute()
    check_free("127.0.0.1", label_studio_port, "--label-studio-port (0 takes a free port)")
    with ExitStack() as stack:
        try:
            stack.enter_context(_signals_stop_us())
            stack.enter_context(_only_one(folder))
            env_dir = (label_studio_env or folder / "label-studio-env").absolute()
            _run(folder, env_dir, label_studio_port, output, console, stack)
        except _Stopped:
            _ignore_signals()
            console.print("\nStopping Label Studio and the backend …")
    console.print("Stopped.")


class _Progress:
    """A spinner whose text changes on a terminal; elsewhere plain lines, and not too many."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("…")
        self._next_s = 0.0

    def line(self, text: str) -> None:
        """A step."""
        if self._console.is_terminal:
            self._status.update(escape(text))
        else:
            self._console.print("  " + escape(text))

    def wait(self, what: str, seconds: float) -> None:
        """Still waiting: a line every 15 s where there is no spinner."""
        if self._console.is_terminal or seconds >= self._next_s:
            self._next_s = seconds + 15
            self.line(f"{what}, {seconds:.0f} s")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._status.stop()


def _run(
    folder: Path, env_dir: Path, port: int, output: str, console: Console, stack: ExitStack
) -> NoReturn:
    from sam_backend.demo.images import demo_images  # OpenCV: `--help` need not wait for it

    images = demo_images()
    label_config = template(output)
    console.print(f"Label Studio's environment: {env_dir} (the first time takes a few minutes)")
    with _Progress(console) as progress:
        program = ensure_label_studio_env(env_dir, progress.line)
    settings = Settings()
    store = open_store(settings)
    if settings.model is None:
        offer_better(store, console)
    is_best = settings.model is not None or has_better(store)
    label_studio = LocalLabelStudio(program, folder / "label-studio", port)
    data = _data_folder(folder, own_store(settings))
    backend = _backend(folder, data)
    stack.callback(label_studio.stop)
    stack.callback(backend.stop, _BACKEND_GRACE_S)
    console.print("Starting the backend and Label Studio (the first time takes half a minute) …")
    backend.start()
    with _Progress(console) as progress:

        def wait_for_both(seconds: float) -> None:
            backend.check_alive()  # a backend without a model dies long before Label Studio is up
            progress.wait("Label Studio starts", seconds)

        label_studio.start(on_wait=wait_for_both)
        backend.wait_until_healthy(on_wait=lambda s: progress.wait("the model loads", s))
        backend_url = backend.origin
        model = str(httpx.get(f"{backend_url}/versions", trust_env=False).json()["versions"][0])
        project = _make_project(label_studio, output, label_config, images, backend_url, model)
    values = {
        "url": f"{label_studio.url}/projects/{project}/data",
        "email": label_studio.account.email,
        "password": label_studio.account.password,
        "model": model,
        "better": "" if is_best else f" ({HOW_TO_GET_VIT_B})",
        "backend": backend_url,
        "folder": str(folder),
        "data": str(data),
    }
    Console(highlight=False, soft_wrap=True).print(
        READY.format_map({name: escape(value) for name, value in values.items()})
    )
    sys.stdout.flush()
    while True:
        time.sleep(0.5)
        label_studio.process.check_alive()
        backend.check_alive()


def _data_folder(folder: Path, models: Path) -> Path:
    """The backend's data folder; its models are those that the person has.

    Not the person's own: the demo's project has number 1, as their first one, and commands could
    not tell which of the two is meant.
    """
    data = folder / "backend"
    data.mkdir(exist_ok=True)
    link = data / "model_store"
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        models.mkdir(parents=True, exist_ok=True)
        link.symlink_to(models.absolute())
    return data


def _backend(folder: Path, data: Path) -> ServerProcess:
    prefix = "SAM_BACKEND_"
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith(NOT_PASSED_ON)
    }
    return backend_process(folder, ours | {"SAM_BACKEND_DATA_DIR": str(data)})


def _make_project(
    label_studio: LocalLabelStudio,
    output: str,
    label_config: str,
    images: dict[str, bytes],
    backend_url: str,
    model: str,
) -> int:
    """Find or make the project, fill it if it is empty, connect the backend."""
    title = PROJECT_TITLE if output == "brush" else f"{PROJECT_TITLE} ({output})"
    with Projects(label_studio.url, label_studio.account.token) as projects:
        project = projects.find(title)
        if project is None:
            project = projects.create(title, label_config, "Click an object, get its mask.")
        if not projects.task_ids(project):
            projects.upload(project, images)
        projects.connect_backend(project, backend_url, model)
    return project


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two demos on one folder would share one SQLite file and one set of logs."""
    folder.mkdir(parents=True, exist_ok=True)
    busy = SamBackendError(f"a demo already runs on {folder}; use --dir")
    with lock(folder / "lock", busy):
        yield


@contextmanager
def _signals_stop_us() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """An impatient second Ctrl-C must not leave a server running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
