"""`sam-backend serve` as a process: it starts with defaults, and ends as told."""

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from sam_backend.cli.process_setup import ALLOCATOR_TUNING, backend_process
from sam_backend.datasets.manifest import write_manifest
from sam_backend.demo.server_process import ServerProcess, free_port
from sam_backend.program import PROGRAM
from sam_backend.retraining.request import JOB_KIND, RetrainingRequest
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Jobs
from sam_backend.training.metrics import METRICS_NAME
from tests.bullseyes import bullseye_dataset
from tests.canned_server import canned_server
from tests.e2e.commands import eventually
from tests.server.playing import disc_image, png
from tests.server.test_hanging_host import click

SETUP = {"project": "1.5", "schema": "", "hostname": "http://ls:8080", "access_token": "t"}


def server(folder: Path, **settings: str) -> ServerProcess:
    return backend_process(folder, {"SAM_BACKEND_DATA_DIR": str(folder)} | settings)


@pytest.mark.parametrize(("tuned", "number"), [("true", signal.SIGINT), ("false", signal.SIGTERM)])
def test_it_serves_with_the_allocator_of_the_setting_and_ends_when_told(
    tmp_path: Path, tuned: str, number: signal.Signals
) -> None:
    with server(tmp_path, SAM_BACKEND_TUNE_ALLOCATOR=tuned) as running:
        assert httpx.get(f"{running.origin}/health").status_code == 200
        environment = Path(f"/proc/{running.pid}/environ").read_bytes().decode().split("\0")
        is_tuned = {f"{k}={v}" for k, v in ALLOCATOR_TUNING.items()} <= set(environment)
        assert is_tuned == (tuned == "true")
        process = running._process
        assert process is not None
        process.send_signal(number)
        process.wait(20)
    log = (tmp_path / "backend.log").read_text()
    assert "This is the small starter model" in log
    assert "Traceback" not in log


def test_its_end_is_the_end_of_its_worker_and_the_job_waits_again(tmp_path: Path) -> None:
    """Told to end by either signal or killed: what trains leaves, and the next server goes on."""
    data = tmp_path / "data.jsonl"
    write_manifest(bullseye_dataset(tmp_path / "images", range(12)), data)
    order = RetrainingRequest(data=str(data), steps=100_000, parent="starter-3")
    database = open_database(Settings(data_dir=tmp_path))
    jobs = Jobs(database)
    job = jobs.enqueue(JOB_KIND, order.model_dump(mode="json", exclude_none=True), None)

    def is_under_way() -> bool:
        begun = [*tmp_path.glob(f"runs/*/training/{METRICS_NAME}")]
        return jobs.get(job.id).state == "running" and bool(begun)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with server(tmp_path, SAM_BACKEND_THREADS="1") as running:
            eventually(is_under_way)
            worker = int(str(jobs.get(job.id).worker).rpartition(":")[2])
            assert is_alive(worker)
            process = running._process
            assert process is not None
            process.send_signal(number)
            process.wait(60)
            if number != signal.SIGKILL:
                assert not is_alive(worker), "gone before the server is"
                assert jobs.get(job.id).state == "queued"
            eventually(lambda worker=worker: not is_alive(worker), 60)
            assert jobs.get(job.id).state == "queued"
        log = (tmp_path / "backend.log").read_text()
        assert "Traceback" not in log
    database.close()


HELD_WRITER = """
import time
from pathlib import Path
from sam_backend.sam.embeddings.disk import DiskEmbeddings

put = DiskEmbeddings.put

def held(self, key, embedding):
    Path("writing").touch()
    while not Path("go on").exists():
        time.sleep(0.01)
    put(self, key, embedding)

DiskEmbeddings.put = held
from sam_backend.cli.main import main
main()
"""


def test_its_end_writes_the_embeddings_that_wait(tmp_path: Path) -> None:
    """The disk is slow until the server is told to end: one write is under way, one waits."""
    command = [sys.executable, "-P", "-c", HELD_WRITER, "serve", "--port", str(port := free_port())]
    origin, log = f"http://127.0.0.1:{port}", tmp_path / "backend.log"
    pictures = {
        f"GET /{n}.png": (200, png(disc_image((240, 320), 96, 120, 50, (200, 30 * n, 30))))
        for n in range(2)
    }
    with ExitStack() as stack:
        images = stack.enter_context(canned_server(pictures))
        settings = {
            "LABEL_STUDIO_URL": images.url,
            "LABEL_STUDIO_API_KEY": "t",
            "SAM_BACKEND_DATA_DIR": str(tmp_path),
            "SAM_BACKEND_CACHE_DISK_MB": "100",
            "SAM_BACKEND_TUNE_ALLOCATOR": "false",  # it would start itself anew, with a quick disk
        }
        running = ServerProcess("it", command, f"{origin}/ready", log, settings, cwd=tmp_path)
        stack.enter_context(running)
        for number in range(2):
            body = click(f"{images.url}/{number}.png", number)
            answer = httpx.post(f"{origin}/predict", json=body, timeout=60).json()
            assert answer["results"][0]["result"], httpx.get(f"{origin}/status").json()["journal"]
        eventually((tmp_path / "writing").exists)
        process = running._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        eventually(lambda: not is_open(port))
        assert not [*tmp_path.glob("embeddings/*/*")]
        (tmp_path / "go on").touch()
        process.wait(60)
        assert len([*tmp_path.glob("embeddings/*/*.embedding")]) == 2
    assert "Traceback" not in log.read_text()


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_code_in_the_current_folder_is_not_run(tmp_path: Path) -> None:
    """Who starts the program in a folder of experiments may have a `torch.py` there."""
    package = tmp_path / "sam_backend"
    package.mkdir()
    for file in (package / "__init__.py", package / "settings.py", tmp_path / "torch.py"):
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nraise SystemExit(77)\n")
    script = "from sam_backend.cli.main import main; main()"  # what pip writes as `sam-backend`
    command = [sys.executable, "-P", "-c", script, "serve", "--port", str(port := free_port())]
    settings = {"SAM_BACKEND_DATA_DIR": str(tmp_path / "data")}
    origin, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    with ServerProcess("it", command, f"{origin}/ready", log, settings, cwd=tmp_path):
        assert httpx.get(f"{origin}/ready").json()["ready"]
    worker = [*PROGRAM, "worker", "--help"]  # how the server starts its worker
    assert subprocess.run(worker, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert not (tmp_path / "ran").exists()


def test_kill_9_forgets_no_label_studio(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        httpx.post(f"{running.origin}/setup", json=SETUP).raise_for_status()
        assert running.pid is not None
        subprocess.run(["kill", "-9", str(running.pid)], check=True)
    with server(tmp_path) as running:
        projects = httpx.get(f"{running.origin}/status").json()["projects"]
    assert projects == {"1.5": ["http://ls:8080"]}


def test_a_broken_database_costs_the_retrainings_alone(tmp_path: Path) -> None:
    (tmp_path / "sam_backend.db").write_bytes(b"this is no database" * 1000)
    studio = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "a" * 40}
    with server(tmp_path, **studio) as running:
        status = httpx.get(f"{running.origin}/status").json()
        pressed = {"action": "START_TRAINING", "project": {"id": 1}}
        answer = httpx.post(f"{running.origin}/webhook", json=pressed)
    assert status["model"]["state"] == "ready"
    assert "file is not a database" in status["jobs_failure"]
    assert "file is not a database" in status["journal"][0]["reason"]
    assert answer.is_error
    assert "file is not a database" in answer.text
