"""A project as one object: what opens and closes with it."""

from pathlib import Path

import pytest

from sam_backend.errors import LabelStudioUnavailableError
from sam_backend.projects.project import open_project
from sam_backend.settings import Settings
from tests.labelstudio.played_project import PROJECT, TOKEN, played_project


def away(folder: Path) -> Settings:
    """Settings that name a Label Studio that does not answer."""
    return Settings(
        data_dir=folder, label_studio_url="http://127.0.0.1:9", label_studio_api_key=TOKEN
    )


def test_label_studio_is_asked_for_the_project_first(tmp_path: Path) -> None:
    with played_project() as playing:
        settings = Settings(
            data_dir=tmp_path, label_studio_url=playing.web.url, label_studio_api_key=TOKEN
        )
        with open_project(settings, PROJECT) as project:
            assert playing.asked_for("/api/projects/") == [f"/api/projects/{PROJECT}/"]
            assert project.origin == playing.web.url
            assert project.folder == tmp_path / "projects" / str(PROJECT)
            assert project.stage_moves.current() is None
            client = project.client
            assert client is project.client
        with pytest.raises(RuntimeError, match="closed"):
            client.project(PROJECT)


def test_what_we_keep_is_there_while_label_studio_is_away(tmp_path: Path) -> None:
    with (
        pytest.raises(LabelStudioUnavailableError, match="does Label Studio run"),
        open_project(away(tmp_path), PROJECT),
    ):
        pass
    assert not list(tmp_path.iterdir()), "nothing is written for a project that is not known"
    with open_project(away(tmp_path), PROJECT, may_be_away=True) as project:
        assert project.revisions.newest() == []
