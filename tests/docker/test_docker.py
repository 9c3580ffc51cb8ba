"""The images and the compose file lint, and do what the README says."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from sam_backend.demo.local_server import LABEL_STUDIO_VERSION, LocalLabelStudio
from sam_backend.settings import Settings

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "docker" / "Dockerfile"
COMPOSE_FILES = sorted((REPOSITORY / "docker").glob("*.yaml"))
TARGETS = ("cpu", "cuda")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage as (name, rest), with those of the stage that it starts from."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        rest = " ".join(rest.split())
        if instruction == "FROM":
            parent, _, name = rest.partition(" AS ")
            found[name] = list(found.get(parent, []))
        found[name].append((instruction, rest))
    return found


def compose(name: str = "compose.yaml") -> Any:
    return yaml.safe_load((REPOSITORY / "docker" / name).read_text())


def copied() -> list[str]:
    """Files and folders of the repository that reach the image."""
    return [
        source
        for instruction, rest in stages()["cpu"]
        if instruction == "COPY"
        for source in rest.split()[:-1]
    ]


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip("hadolint has no wheel for this machine")
    done = subprocess.run(
        [program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_compose_files_follow_the_specification(file: Path) -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="no wheel for this machine")
    compose_spec.PyCompose.from_yaml(file.read_text()).validate()


@pytest.mark.parametrize("target", TARGETS)
def test_the_python_steps_are_those_of_the_readme(target: str) -> None:
    (block,) = [
        block
        for block in re.findall(r"```sh\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
        if "sam-backend serve" in block
    ]
    steps = [line.partition("#")[0].strip() for line in block.splitlines()]
    assert "pip install ." in steps
    assert "sam-backend serve" in steps
    runs = [rest for instruction, rest in stages()[target] if instruction == "RUN"]
    assert runs[-1] == "pip install -c constraints.txt '.[heic,postgres]'", (
        "the README's step, and what cannot follow"
    )
    last = dict(stages()[target])  # the last instruction of each name holds
    assert last["CMD"] == '["sam-backend", "serve"]'
    assert last["USER"].isdigit()
    assert last["USER"] != "0"


def test_both_targets_copy_the_same() -> None:
    copies = [[step for step in stages()[t] if step[0] == "COPY"] for t in TARGETS]
    assert copies[0] == copies[1]


def test_what_is_copied_is_enough_to_install(tmp_path: Path) -> None:
    """`pip install .` builds a wheel from what the image holds; it must hold the starter too."""
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for name in copied():
        assert f"!{name}" in ignored
        source = REPOSITORY / name
        if source.is_dir():
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tmp_path / "app" / name, ignore=without)
        else:
            (tmp_path / "app").mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / "app" / name)
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), "."]
    subprocess.run(wheel, cwd=tmp_path / "app", check=True)
    (built,) = tmp_path.glob("sam_backend-*.whl")
    names = zipfile.ZipFile(built).namelist()
    assert "sam_backend/cli/main.py" in names
    templates = {
        str(file.relative_to(REPOSITORY)) for file in REPOSITORY.glob("sam_backend/**/*.html")
    }
    assert len(templates) > 5
    assert templates <= set(names)
    for name in ("LICENSE", "NOTICE"):
        assert any(n.endswith(f".dist-info/licenses/{name}") for n in names)
    assert any(re.fullmatch(r"sam_backend/model_store/starter\S*/weights.\w+", n) for n in names)


def test_services_and_volumes_that_are_named_exist() -> None:
    document = compose()
    services, volumes = document["services"], document["volumes"]
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        assert {mount.partition(":")[0] for mount in service.get("volumes", [])} <= set(volumes)
    backend = services["backend"]
    assert (REPOSITORY / "docker" / backend["build"]["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / backend["build"]["dockerfile"]).exists()
    assert backend["build"]["target"] in TARGETS
    assert backend["environment"]["LABEL_STUDIO_URL"] == "http://label-studio:8080"
    assert backend["environment"]["REDIS_URL"].startswith("redis://redis:")


def test_workers_share_queue_and_folder_with_the_backend() -> None:
    base, added = compose()["services"], compose("compose.workers.yaml")
    services = added["services"]
    backend, worker = services["backend"], services["worker"]
    assert backend["environment"]["SAM_BACKEND_OWN_WORKER"] == "false"
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        assert worker["environment"][name] == base["backend"]["environment"][name]
    assert worker["command"] == ["sam-backend", "worker"]
    for name in ("build", "volumes"):
        assert worker[name] == base["backend"][name]
    database, account = services["database"], services["database"]["environment"]
    user, password, name = (account[f"POSTGRES_{part}"] for part in ("USER", "PASSWORD", "DB"))
    for service in (backend, worker):
        url = service["environment"]["SAM_BACKEND_DATABASE_URL"]
        assert url == f"postgresql://{user}:{password}@database/{name}"
    assert {mount.partition(":")[0] for mount in database["volumes"]} == set(added["volumes"])
    for service in (backend, worker):
        assert set(service["depends_on"]) <= {*base, *services}


def test_the_backends_variables_are_settings() -> None:
    given = dict(re.findall(r"(SAM_BACKEND_\w+)=(\S+)", DOCKERFILE.read_text()))
    for file in COMPOSE_FILES:
        for name, service in compose(file.name)["services"].items():
            if name in {"backend", "worker"}:
                given |= service.get("environment", {})
    known = set()
    for name, field in Settings.model_fields.items():
        choices = getattr(field.validation_alias, "choices", [f"SAM_BACKEND_{name.upper()}"])
        known |= set(choices)
    assert set(given) <= known


def test_label_studio_is_the_proven_one_and_started_alike(tmp_path: Path) -> None:
    service = compose()["services"]["label-studio"]
    assert service["image"].endswith(f":{LABEL_STUDIO_VERSION}")
    proven = LocalLabelStudio(tmp_path / "label-studio", tmp_path)._environment()
    for name, value in service["environment"].items():
        if name != "LABEL_STUDIO_HOST":
            assert proven[name] == value, name


def test_a_lowered_label_studio_is_published_to_this_machine_only() -> None:
    for file in COMPOSE_FILES:
        for service in compose(file.name)["services"].values():
            for port in service.get("ports", []):
                assert port.startswith("127.0.0.1:")
