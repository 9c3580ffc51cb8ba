"""The backup and restore lines of docs/data-folder.md keep what the page says they keep."""

import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Jobs
from tests.pages import DOCS

PAGE = (DOCS / "data-folder.md").read_text(encoding="utf-8")


def lines_of(section: str) -> list[str]:
    """The shell lines of a section that need no service manager."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [line for line in block.splitlines() if "systemctl" not in line and "tar" in line]


def run(line: str, place: Path) -> None:
    line = line.replace("sudo ", "").replace("/var/lib", str(place / "var"))
    subprocess.run(line, shell=True, check=True, cwd=place)


@pytest.mark.skipif(shutil.which("tar") is None, reason="tar is not here")
def test_a_backup_brings_everything_back_but_caches(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "sam-backend"
    settings = Settings(data_dir=folder)
    with closing(open_database(settings)) as database:
        Jobs(database).enqueue("retrain", {}, 1)
    kept = ("connections.json", "model_store/own-1/card.json", "gold/one.png", "runs/3/state")
    for name in (*kept, "embeddings/ab/cd.bin", "compiled/kernel.so"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())

    (backup,) = lines_of("Backup")
    run(backup, tmp_path)
    shutil.rmtree(folder)
    (restore,) = lines_of("Restore")
    run(restore, tmp_path)

    assert all((folder / name).read_bytes() == name.encode() for name in kept)
    assert not (folder / "embeddings").exists()
    assert not (folder / "compiled").exists()
    with closing(open_database(settings)) as database:
        assert [job.kind for job in Jobs(database).list()] == ["retrain"]


def test_the_page_names_every_part_of_the_folder() -> None:
    """What the code puts into the data folder stands in the page's table."""
    named = set(re.findall(r"`([a-z_.]+)/?`", PAGE.split("## Backup")[0]))
    package = DOCS.parent / "sam_backend"
    files = set(package.rglob("*.py")) - {*(package / "demo").rglob("*.py")}  # Label Studio's own
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    made = set(re.findall(r'data_dir / "([a-z_.]+)"', source))
    assert made, "the pattern finds nothing any more"
    assert made <= named
