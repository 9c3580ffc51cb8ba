"""The calls that label-studio-sdk makes for us, and ours, mean to Label Studio what they should."""

from collections.abc import Iterator

import httpx
import pytest

from sam_backend.demo.local_server import LABEL_STUDIO_VERSION, LocalLabelStudio
from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api import people, predictions, project_tasks, queues, uploads
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.api.storages import storage_address
from sam_backend.labelstudio.api.stored_annotations import (
    change_annotation,
    make_annotation,
    stored_annotations,
    stored_drafts,
)
from tests.e2e.scene import Scene
from tests.labelstudio.web import send, serve

pytestmark = pytest.mark.e2e

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<RectangleLabels name="box" toName="image"><Label value="cup"/></RectangleLabels></View>'
)
BOX = {
    "id": "a",
    "type": "rectanglelabels",
    "from_name": "box",
    "to_name": "image",
    "original_width": 10,
    "original_height": 10,
    "value": {"x": 1.5, "y": 2, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": ["cup"]},
}


@pytest.fixture(scope="module")
def project(projects: Projects) -> int:
    return projects.create("calls of the API", CONFIG)


@pytest.fixture
def client(label_studio: LocalLabelStudio) -> Iterator[LabelStudioClient]:
    host = LabelStudioHost(label_studio.url, label_studio.account.token)
    with LabelStudioClient(host) as made:
        yield made


def test_version_projects_and_people(
    client: LabelStudioClient, projects: Projects, project: int, label_studio: LocalLabelStudio
) -> None:
    assert client.version()["release"] == LABEL_STUDIO_VERSION
    assert client.project(project)["title"] == "calls of the API"
    assert client.titles()[project] == "calls of the API"
    assert projects.find("calls of the API") == project
    assert projects.find("calls of the") is None
    (user,) = people.users(client)
    assert (user.number, user.email) == (people.own_number(client), label_studio.account.email)
    client.change_project(project, description="changed")
    assert client.project(project)["description"] == "changed"


def test_tasks_predictions_and_annotations(client: LabelStudioClient, project: int) -> None:
    told = {"data": {"image": "https://example.org/a.png"}, "annotations": [{"result": [BOX]}]}
    told["predictions"] = [{"model_version": "v1", "result": [BOX], "score": 0.5}]
    project_tasks.import_tasks(client, project, [told, {"data": {"image": "b.png"}}])
    first, second = project_tasks.task_numbers(client, project)
    sent = {"task": second, "result": [BOX], "score": 0.25, "model_version": "v2"}
    assert predictions.import_predictions(client, project, [sent]) == 1
    assert client.model_versions(project).keys() >= {"v1", "v2"}
    assert predictions.show_version(client, project, "v2")
    assert client.project(project)["model_version"] == "v2"
    (stored,) = predictions.predictions_of(client, second)
    assert stored["result"][0]["value"] == BOX["value"]
    for _ in range(2):  # the second time it is gone
        predictions.delete_prediction(client, stored["id"])
    assert predictions.prediction(client, stored["id"]) is None
    predictions.write_task_data(client, second, {"image": "b.png"}, {"note": "ü", "none": None})
    (task,) = project_tasks.tasks_numbered(client, project, [second])
    assert task["data"] == {"image": "b.png", "note": "ü", "none": None}
    make_annotation(client, second, {"result": [BOX], "lead_time": 1.5})
    (annotation,) = stored_annotations(client, second) or []
    change_annotation(client, annotation["id"], {"ground_truth": True})
    assert [one["ground_truth"] for one in stored_annotations(client, second) or []] == [True]
    assert stored_drafts(client, second) == []
    for _ in range(2):
        project_tasks.delete_task(client, second)
    assert stored_annotations(client, second) is None
    assert project_tasks.task_numbers(client, project) == [first]
    with pytest.raises(LabelStudioError, match="404") as caught:
        client.task(second)
    assert caught.value.status == 404


def test_tabs(client: LabelStudioClient, project: int) -> None:
    def titles() -> dict[str, dict]:
        return {view["data"]["title"]: view["data"] for view in queues._views(client, project)}

    queues.keep_tabs(client, project, {"7": "ann", "17": "ben"})
    made = titles()["Queue of ann"]
    assert made["hiddenColumns"]["explore"] == queues._HIDDEN
    assert made["ordering"] == [f"-tasks:data.{queues.PRIORITY}"]
    (view,) = [one for one in queues._views(client, project) if one["data"] == made]
    queues.keep_tabs(client, project, {"7": "ann", "17": "ben"})
    assert len(titles()) == 2
    queues.keep_tabs(client, project, {"7": "ann"}, gone=["17"])
    assert [*titles()] == ["Queue of ann"]
    queues._delete(client, project, view)
    queues._delete(client, project, view)  # gone
    assert titles() == {}


def test_backends_and_webhooks(client: LabelStudioClient, projects: Projects, project: int) -> None:
    answers = {
        "health": send(200, b'{"status": "UP"}'),
        "setup": send(200, b'{"model_version": "v"}'),
        "webhook": send(200, b"{}"),
    }
    with serve(**answers) as first, serve(**answers) as second:
        number = projects.connect_backend(project, first.url, "v1")
        assert projects.connect_backend(project, first.url, "v1") == number
        assert [hook["url"] for hook in client.webhooks(project)] == [f"{first.url}/webhook"]
        assert projects.connect_backend(project, second.url, "v2") != number
        assert [row["url"] for row in client.ml_backends(project)] == [second.url]
        assert [hook["url"] for hook in client.webhooks(project)] == [f"{second.url}/webhook"]
    assert client.project(project)["model_version"] == "v2"


def test_uploads_and_storages(
    client: LabelStudioClient, project: int, scene: Scene, label_studio: LocalLabelStudio
) -> None:
    addresses = uploads.upload_files(client, project, {"cup.png": scene.png})
    assert addresses["cup"].startswith(f"/data/upload/{project}/")
    assert uploads.uploaded_files(client, project)["cup"] == addresses["cup"]
    folder = label_studio.files_root / "photos"
    folder.mkdir(parents=True)
    made = httpx.post(
        f"{label_studio.url}/api/storages/localfiles/",
        json={"project": project, "path": str(folder)},
        headers=label_studio.auth_headers,
    )
    assert made.status_code == 201, made.text
    assert storage_address(client, f"localfiles/{made.json()['id']}") == str(folder)
    with pytest.raises(LabelStudioError, match="404"):
        storage_address(client, "s3/99999")
