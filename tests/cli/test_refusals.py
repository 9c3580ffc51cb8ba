"""What cannot be done is said in one sentence: no traceback, and an exit code that is not 0.

One table: a command line, what is wrong around it, and words of the sentence.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
import typer

from sam_backend.cli.main import app
from tests.e2e.commands import command, command_inside


@dataclass(frozen=True)
class Refusal:
    """A command line that must be refused.

    Attributes:
        line: Its words.
        says: Words of the sentence.
        code: Exit code.
        settings: Variables around it.
        files: Files in its folder, by name.
    """

    line: str
    says: tuple[str, ...]
    code: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def in_file(text: str) -> dict[str, str]:
    return {".env": text}


SETTINGS = [
    Refusal(
        "serve",
        ("SAM_BACKEND_PORT in the environment is 'many', and must be a whole number", "correct"),
        settings={"SAM_BACKEND_PORT": "many"},
    ),
    Refusal("serve --port 70000", ("SAM_BACKEND_PORT is '70000', and must be at most 65535",)),
    Refusal(
        "models list",
        ("SAM_BACKEND_PREFILL in", ".env must be JSON, and is none", "line 1 column 2"),
        files=in_file("SAM_BACKEND_PREFILL={max_masks: 3}\n"),
    ),
    Refusal(
        "stage policy",
        ("SAM_BACKEND_STAGES in the environment at '1' is '3', and must be a JSON object",),
        settings={"SAM_BACKEND_STAGES": '{"1": 3}'},
    ),
    Refusal(
        "serve",
        ("SAM_BACKEND_LOG_LEVEL", "is 'LOUD', and must be one of 'DEBUG', 'INFO'"),
        settings={"SAM_BACKEND_LOG_LEVEL": "LOUD"},
    ),
    Refusal(
        "serve",
        ("basic auth needs both SAM_BACKEND_BASIC_AUTH_USER and",),
        settings={"SAM_BACKEND_BASIC_AUTH_PASSWORD": "s3cret"},
    ),
    Refusal(
        "serve",
        ("prefill has no setting 'max_mask' (did you mean 'max_masks'?)",),
        settings={"SAM_BACKEND_PREFILL": '{"max_mask": 3}'},
    ),
    Refusal(
        "serve",
        ("a stage has no setting 'retrain_evry' (did you mean 'retrain_every'?)",),
        settings={"SAM_BACKEND_STAGES": '{"1": {"retrain_evry": 3}}'},
    ),
    Refusal("serve --model nope", ("no model 'nope' in the store",), 1),
    Refusal("serve --device abacus", ("not 'abacus'",)),
    Refusal("serve", ("the Redis URL must look like",), settings={"REDIS_URL": "s3cret://x"}),
    Refusal("serve --host 203.0.113.7", ("cannot listen on 203.0.113.7 port 9090",), 1),
    Refusal("serve --host no-such-host.invalid", ("cannot listen on no-such-host.invalid",), 1),
]


INPUTS = [
    Refusal("export run --to out", ("run holds no run",)),
    Refusal("export run --to out --config none.xml", ("'none.xml' does not exist",), 1),
    Refusal("export run --to out --config .", ("'.' is a folder, where a file is wanted",), 1),
    Refusal("generate nowhere --out run", ("nowhere",), 2),
    Refusal("generate . --out run --preset papr", ("no preset 'papr' (did you mean 'paper'?)",)),
    Refusal(
        "generate . --out run --set points_per_sid=3",
        ("has no setting 'points_per_sid' (did you mean 'points_per_side'?)",),
    ),
    Refusal(
        "generate . --out run --set stability=high", ("stability must be a number, not 'high'",)
    ),
    Refusal(
        "train", ("retraining request: a retraining learns from a project or from a data set",)
    ),
    Refusal("train --data . --depth deep", ("depth Input should be 'decoder', 'adapter'",)),
    Refusal(
        "prefill evaluate . --out out --bars 0.5,high",
        ("--bars takes numbers from 0 to 1 with commas, such as 0.5,0.6,0.7, not '0.5,high'",),
    ),
    Refusal("train --data none.json", ("none.json does not exist",)),
    Refusal("evaluate none.json", ("none.json",)),
    Refusal("gold add --data none.json", ("none.json",)),
    Refusal("prefill evaluate none.json --out out", ("none.json",)),
    Refusal("stage plot --project 1 --out picture.txt", ("must end in .png",)),
    Refusal(
        "jobs list",
        ("cannot open database", "/proc/nowhere"),
        1,
        settings={"SAM_BACKEND_DATA_DIR": "/proc/nowhere"},
    ),
    *(
        Refusal(line, ("project 99 is unknown: set LABEL_STUDIO_URL",), 1)
        for line in (
            "stage begin --project 99",
            "preannotate --project 99",
            "train --project 99",
            "train-detector --project 99",
            "tasks order --project 99",
        )
    ),
    *(
        Refusal(
            line,
            ("127.0.0.1:9", "does Label Studio run, and is LABEL_STUDIO_URL right?"),
            1,
            settings={"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "s3cret"},
        )
        for line in ("stage begin --project 1", "preannotate --project 1", "train --project 1")
    ),
    Refusal(
        "preannotate --project 1",
        ("Label Studio's address must be http(s)://…, not 'localhost'",),
        1,
        settings={"LABEL_STUDIO_URL": "localhost", "LABEL_STUDIO_API_KEY": "s3cret"},
    ),
]

OUTPUTS = [
    "generate . --out",
    "export run --to",
    "export run --format coco --to",
    "evaluate data --out",
    "prefill evaluate data --out",
    "quality calibrate --out",
    "quality report --project 1 --out",
    "dataset diff --project 1 v1 head --draw",
    "dataset checkout --project 1 v1 --out",
    "dataset export --project 1 v1 --out",
    "demo --dir",
]
"""Every option that names a folder of results."""

PLACES = [
    ("a-file", "a-file is a file, where a folder is wanted: name another one"),
    ("a-file/below", "a-file is a file, where a folder is wanted: name another one"),
    ("a-link", "a-link is a file, where a folder is wanted: name another one"),
    ("/proc/nowhere", "nothing can be written to /proc (No such file or directory): name another"),
    ("/sys/nowhere/deep", "nothing can be written to /sys (Permission denied): name another"),
]


@pytest.mark.parametrize(("place", "says"), PLACES)
@pytest.mark.parametrize("line", OUTPUTS)
def test_a_place_that_takes_no_results_is_told_before_any_work(
    tmp_path: Path, line: str, place: str, says: str
) -> None:
    (tmp_path / "a-file").write_text("precious")
    (tmp_path / "a-link").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    check(command_inside(tmp_path, *line.split(), place), Refusal(line, (says,)))
    assert sorted(tmp_path.rglob("*")) == before, "nothing is made, nothing is lost"


@pytest.mark.parametrize(
    ("out", "says"),
    [
        (".", "is a folder, where a file is wanted: name a file in it"),
        ("a-file/stages.png", "a-file is a file, where a folder is wanted"),
        ("/proc/nowhere/stages.png", "nothing can be written to /proc"),
    ],
)
def test_a_picture_that_cannot_be_written(tmp_path: Path, out: str, says: str) -> None:
    (tmp_path / "a-file").write_text("precious")
    line = f"stage plot --project 1 --out {out}"
    check(command_inside(tmp_path, *line.split()), Refusal(line, (says,)))


def test_every_option_of_results_is_in_the_table() -> None:
    """Found by their callback: a new one without it, or one that is not tried, fails here."""
    named = {"--out", "--to", "--draw", "--dir"}
    tried = {tuple(line.split()[i] for i in (0, -1)) for line in OUTPUTS}
    for words, known in commands(typer.main.get_command(app)):
        for option in (one for one in known.params if named & set(one.opts)):
            assert words[:2] == ("stage", "plot") or (words[0], option.opts[0]) in tried, words


@pytest.mark.parametrize(
    "refusal", [*SETTINGS, *INPUTS], ids=lambda one: f"{one.line} {one.says[0]}"[:60]
)
def test_one_sentence_and_no_traceback(tmp_path: Path, refusal: Refusal) -> None:
    for name, text in refusal.files.items():
        (tmp_path / name).write_text(text)
    ended = command_inside(tmp_path, *refusal.line.split(), settings=refusal.settings)
    check(ended, refusal)


def check(ended: subprocess.CompletedProcess[str], refusal: Refusal) -> None:
    assert ended.returncode == refusal.code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr
    (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    for words in refusal.says:
        assert words in sentence
    assert ended.stderr.splitlines()[-1] == sentence, "nothing comes after it"
    assert ended.stdout == ""


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_busy_port_is_told_by_a_process_that_loads_nothing(
    tmp_path: Path, busy_port: int
) -> None:
    ended = command(tmp_path, "serve", "--port", str(busy_port))
    says = (f"cannot listen on 127.0.0.1 port {busy_port} (Address already in use)", "--port")
    check(ended, Refusal("", says, 1))
    assert "serving" not in ended.stderr


def test_a_busy_port_ends_the_demo_before_it_begins(tmp_path: Path, busy_port: int) -> None:
    line = ["demo", "--dir", "demo", "--label-studio-port", str(busy_port)]
    says = (f"port {busy_port} (Address already in use)", "--label-studio-port")
    check(command_inside(tmp_path, *line), Refusal("", says, 1))
    assert not (tmp_path / "demo").exists()


def test_a_file_of_settings_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SAM_BACKEND_MODEL=caf\xe9\n")
    ended = command_inside(tmp_path, "models", "list")
    check(ended, Refusal("", (".env is no text in UTF-8 (byte 21): save it as UTF-8",)))


def test_an_option_of_the_last_release_is_taken_with_its_new_name(tmp_path: Path) -> None:
    ended = command_inside(tmp_path, "import", "run", "--project", "1", "--patience", "5")
    check(ended, Refusal("", ("run holds no run",)))
    assert "--patience is --retry-for now" in ended.stderr
    assert "--patience" not in command_inside(tmp_path, "import", "--help").stdout


@pytest.mark.parametrize("place", ["the environment", ".env"])
def test_a_misspelt_setting_is_told(tmp_path: Path, place: str) -> None:
    settings = {"SAM_BACKEND_PROT": "9091", "SAM_BACKEND_NOTHING_ALIKE_AT_ALL": "1"}
    if place == ".env":
        (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        settings = {}
    ended = command_inside(tmp_path, "models", "list", "--json", settings=settings)
    assert ended.returncode == 0
    alike, unlike = sorted(ended.stderr.splitlines(), key=len, reverse=True)
    assert alike.startswith("warning: SAM_BACKEND_PROT in ")
    assert alike.endswith("is no setting and does nothing (did you mean 'SAM_BACKEND_PORT'?)")
    assert place in alike
    assert unlike.startswith("warning: SAM_BACKEND_NOTHING_ALIKE_AT_ALL in ")
    assert unlike.endswith("is no setting and does nothing")


def test_a_process_that_starts_itself_again_warns_once(tmp_path: Path) -> None:
    """A worker, which says that it is there before any job comes."""
    ended = command(tmp_path, "worker", "--until-idle", settings={"SAM_BACKEND_PROT": "1"})
    assert ended.stderr.count("SAM_BACKEND_PROT") == 1
    assert f"ready for jobs, with the data folder {tmp_path}\n" in ended.stderr


@pytest.mark.parametrize(
    ("options", "settings", "warns"),
    [
        (["--host", "0.0.0.0"], {}, True),
        (["--host", "::"], {}, True),
        (["--host", "localhost"], {}, False),
        ([], {"SAM_BACKEND_HOST": "127.0.0.2"}, False),
        (
            ["--host", "0.0.0.0"],
            {"SAM_BACKEND_BASIC_AUTH_USER": "a", "SAM_BACKEND_BASIC_AUTH_PASSWORD": "b"},
            False,
        ),
    ],
)
def test_an_open_door_without_a_password_is_told(
    options: list[str], settings: dict[str, str], warns: bool, caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:  # fmt: skip
    """It goes no further than the model that is not there."""
    line = ["serve", "--port", "0", "--model", "nope", *options]
    ended = command_inside(tmp_path, *line, settings=settings)
    assert "no model 'nope'" in ended.stderr
    told = [one for one in caplog.messages if "anybody who reaches" in one]
    assert len(told) == warns
    assert all("SAM_BACKEND_BASIC_AUTH_USER" in one for one in told)


def test_a_process_that_fails_while_its_model_loads_ends_without_a_traceback(
    tmp_path: Path,
) -> None:
    """The loading needs a thread pool, and those take no more work once a process ends."""
    script = """
import sys
from sam_backend.settings import Settings
from sam_backend.serving.factory import serving_champion
with serving_champion(Settings()):
    sys.exit(3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "SAM_BACKEND_DATA_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "cannot be loaded" not in ended.stderr


def commands(
    group: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with its words."""
    inner = getattr(group, "commands", {})
    if not inner:
        yield words, group
    for name, one in inner.items():
        yield from commands(one, (*words, name))


def test_scripts_can_read_what_every_command_tells() -> None:
    """These four run until they are stopped, or tell nothing but their progress."""
    without = {("serve",), ("worker",), ("demo",), ("starter", "train")}
    for words, known in commands(typer.main.get_command(app)):
        has_json = any("--json" in option.opts for option in known.params)
        assert has_json != (words in without), words


def test_a_missing_extra_is_named_as_it_can_be_installed() -> None:
    """The package is on no index: a name without a folder would fetch a stranger's."""
    sources = Path(__file__).parents[2] / "sam_backend"
    told = [line for file in sources.rglob("*.py") for line in file.read_text().splitlines()]
    told = [line for line in told if "pip install" in line]
    assert len(told) >= 4
    assert all("'.[" in line for line in told), told


def test_the_version_is_told(tmp_path: Path) -> None:
    from sam_backend import __version__

    ended = command_inside(tmp_path, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"sam-backend {__version__}\n")


def test_a_task_without_edits_is_not_called_a_project_without_any(tmp_path: Path) -> None:
    away = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "0" * 40}
    words = ["dataset", "log", "--project", "3", "--edits", "--task", "14"]
    ended = command_inside(tmp_path, *words, settings=away)
    assert ended.returncode == 0
    assert ended.stderr.startswith("nothing is kept of task 14 in project 3 yet: `sam-backend data")
