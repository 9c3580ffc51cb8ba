"""Every way in which a click can fail is named, with its fix, and no token is ever told."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam_backend.doctor import Backend, Checkup, Finding
from sam_backend.errors import LabelConfigError, ModelStoreError
from sam_backend.labelstudio.api.event_secret import HEADER, event_secret
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.labelstudio.regions.rle_pack import pack
from tests.canned_server import CannedServer, Request, canned_server
from tests.labelstudio.forged import PEAK_BYTES, forged, traced_peak

LEGACY = "0123456789abcdef0123456789abcdef01234567"
VERSION = "starter-1"
WEBHOOK = "{backend}/webhook"
PIXELS = 64 * 48


def jwt(kind: str) -> str:
    parts = [{"alg": "HS256"}, {"token_type": kind, "iat": 0, "exp": 300}]
    head, body = (base64.urlsafe_b64encode(json.dumps(p).encode()).decode() for p in parts)
    return f"{head.rstrip('=')}.{body.rstrip('=')}.c2lnbmVk"


PERSONAL, ACCESS = jwt("refresh"), jwt("access")


def config(
    output: str = '<BrushLabels name="mask" toName="image" smart="false">', **tag: str
) -> str:
    prompt = tag.get("prompt", 'KeyPointLabels name="click" toName="image" smartOnly="true"')
    label = tag.get("label", "Object")
    closing = output.split()[0].strip("<")
    return (
        f'<View><Image name="image" value="$image"/>{output}<Label value="Object"/></{closing}>'
        f'<{prompt}><Label value="{label}"/></{prompt.split()[0]}></View>'
    )


def region() -> dict[str, Any]:
    mask = np.zeros((48, 64), bool)
    mask[12:36, 16:48] = True
    return {
        "id": "r1",
        "from_name": "mask",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": 64,
        "original_height": 48,
        "value": {"format": "rle", "rle": pack(mask), "brushlabels": ["Object"]},
    }


def png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(data, "PNG")
    return data.getvalue()


def row(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "url": url,
        "title": VERSION,
        "readable_state": "Connected",
        "is_interactive": True,
        "error_message": None,
        "model_version": VERSION,
    } | changes


@dataclass
class World:
    """A Label Studio and a backend where all is well, until a test changes an answer."""

    studio: CannedServer
    backend: CannedServer
    checkup: Checkup

    def studio_answers(self, call: str, answer: Any) -> None:
        self.studio.routes = {**self.studio.routes, call: answer}

    def backend_answers(self, call: str, answer: Any) -> None:
        self.backend.routes = {**self.backend.routes, call: answer}

    def rows(self, *rows: dict[str, Any]) -> None:
        self.studio_answers("GET /api/ml/", (200, list(rows)))

    def with_token(self, token: str) -> None:
        self.checkup = replace(self.checkup, host=LabelStudioHost(self.studio.url, token))

    def findings(self) -> list[Finding]:
        found = list(self.checkup.run())
        for secret in (LEGACY, PERSONAL, ACCESS):
            assert secret not in repr(found)
        return found

    def bad(self) -> list[tuple[str, str]]:
        return [(f.name, f.status) for f in self.findings() if f.status != "ok"]

    def the(self, name: str, status: str) -> Finding:
        (finding,) = [f for f in self.findings() if (f.name, f.status) == (name, status)]
        return finding


@pytest.fixture
def world() -> Iterator[World]:
    healthy = {
        "GET /health": (200, {"status": "UP", "model_class": "sam_backend"}),
        "GET /versions": (200, {"versions": [VERSION]}),
        "GET /ready": (200, {"ready": True, "state": "ready"}),
        "GET /status": (200, {"journal": []}),
    }
    with canned_server(healthy) as backend, canned_server({}) as studio:
        hook = {"url": f"{backend.url}/webhook", "is_active": True}
        project = {"id": 3, "title": "cats", "task_number": 1, "label_config": config()}
        studio.routes = {
            "GET /api/version/": (200, {"release": "1.23.2"}),
            "GET /api/current-user/whoami": (200, {"email": "ann@example.com"}),
            "GET /api/jwt/settings": (200, {"legacy_api_tokens_enabled": True}),
            "POST /api/token/refresh": (200, {"access": ACCESS}),
            "GET /api/projects/3/": (200, project | {"model_version": VERSION}),
            "GET /api/projects/": (200, {"results": [{"id": 4, "title": "dogs"}]}),
            "GET /api/ml/": (200, [row(backend.url)]),
            "GET /api/webhooks/": (200, [hook]),
            "GET /api/projects/3/tasks/": (200, [{"id": 5, "data": {"image": "/data/a.png"}}]),
            "GET /data/a.png": lambda request: (200, png()) if request.authorization else (401, {}),
            "POST /api/ml/7/interactive-annotating": (200, {"data": {"result": [region()]}}),
        }
        host = LabelStudioHost(studio.url, LEGACY)
        checkup = Checkup(host, 3, Backend(backend.url), ImageResolver(), PIXELS, timeout_s=5.0)
        yield World(studio, backend, checkup)


def set_project(world: World, **changes: Any) -> None:
    project = world.studio.routes["GET /api/projects/3/"][1]
    world.studio_answers("GET /api/projects/3/", (200, project | changes))


def test_all_is_well(world: World) -> None:
    assert world.bad() == []
    click = world.the("one click", "ok")
    assert "'Object', 25.0 % of the image" in click.seen


def test_how_tasks_are_prefilled_is_told(world: World) -> None:
    asked: list[object] = []

    def told(config: object, uid: object, extra_params: object) -> str:
        asked.append(extra_params)
        return "by proposer 'grid'"

    world.checkup = replace(world.checkup, prefilling=told)
    assert world.the("prefilling", "ok").seen == "by proposer 'grid'"
    assert len(asked) == 1


def test_a_label_for_prefilled_masks_that_the_config_lacks(world: World) -> None:
    def refused(config: object, uid: object, extra_params: object) -> str:
        raise LabelConfigError("tag 'brush' has no label 'Tree'")

    world.checkup = replace(world.checkup, prefilling=refused)
    assert "has no label 'Tree'" in world.the("prefilling", "warn").seen


def test_the_model_that_a_project_names_is_told(world: World) -> None:
    asked: list[object] = []

    def told(uid: object, extra_params: object) -> str:
        asked.append((uid, extra_params))
        return "b-1 answers"

    set_project(world, created_at="2026-11-23T14:00:00Z")
    world.rows(row(world.backend.url, extra_params={"model": "b-1"}))
    world.checkup = replace(world.checkup, model=told)
    assert world.the("project's model", "ok").seen == "b-1 answers"
    assert asked == [("3.1795442400", {"model": "b-1"})]
    world.checkup = replace(world.checkup, model=lambda uid, extra: "")
    assert not [finding for finding in world.findings() if finding.name == "project's model"]


def test_a_model_that_is_not_in_the_store_is_told_with_the_remedy(world: World) -> None:
    def refused(uid: object, extra_params: object) -> str:
        raise ModelStoreError("project 3.1 asks for no model 'x' in the store (here: starter-3)")

    world.checkup = replace(world.checkup, model=refused)
    finding = world.the("project's model", "warn")
    assert finding.seen.endswith("(here: starter-3); the default model answers instead")
    assert "sam-backend models use" in finding.fix


def test_the_backend_of_a_project_with_a_model_of_its_own_is_known_by_that(world: World) -> None:
    set_project(world, created_at="2026-11-23T14:00:00Z", model_version="b-1+0")
    told = {"versions": [VERSION], "projects": {"3.1795442400": "b-1+0"}}
    world.backend_answers("GET /versions", (200, told))
    world.rows(row("http://in-a-container:9090", model_version="b-1+0", title="b-1+0"))
    hook = {"url": "http://in-a-container:9090/webhook", "is_active": True}
    world.studio_answers("GET /api/webhooks/", (200, [hook]))
    assert [finding for finding in world.findings() if finding.status == "fail"] == []


def test_the_click_goes_through_label_studio_as_the_page_sends_it(world: World) -> None:
    world.findings()
    (request,) = world.studio.asked("POST /api/ml/7/interactive-annotating")
    (prompt,) = request.body["context"]["result"]
    assert request.body["task"] == 5
    assert (prompt["type"], prompt["is_positive"]) == ("keypointlabels", True)
    assert (prompt["original_width"], prompt["original_height"]) == (64, 48)
    assert prompt["value"]["keypointlabels"] == ["Object"]
    assert (prompt["value"]["x"], prompt["value"]["y"]) == (50, 50)


# --- Label Studio and its tokens


def test_an_address_where_nothing_listens(world: World) -> None:
    world.checkup = replace(world.checkup, host=LabelStudioHost("http://127.0.0.1:9", LEGACY))
    assert "refused" in world.the("Label Studio", "fail").seen
    assert world.the("backend", "ok")


def test_the_backends_address_given_as_label_studios(world: World) -> None:
    world.checkup = replace(world.checkup, host=LabelStudioHost(world.backend.url, LEGACY))
    assert "404" in world.the("Label Studio", "fail").seen
    assert all(request.authorization is None for request in world.backend.requests)


def test_no_token(world: World) -> None:
    world.with_token("")
    assert "LABEL_STUDIO_API_KEY" in world.the("token", "fail").fix


@pytest.mark.parametrize(
    ("detail", "in_fix"),
    [
        ("Invalid token.", "personal access token"),
        (
            "Authentication token no longer valid: legacy token authentication has been disabled "
            "for this organization",
            "Legacy Tokens",
        ),
    ],
)
def test_a_refused_legacy_token(world: World, detail: str, in_fix: str) -> None:
    world.studio_answers("GET /api/current-user/whoami", (401, {"detail": detail}))
    world.studio_answers("POST /api/token/refresh", (401, {}))
    finding = world.the("token", "fail")
    assert detail in finding.seen
    assert in_fix in finding.fix


def test_a_revoked_personal_token(world: World) -> None:
    world.with_token(PERSONAL)
    world.studio_answers("POST /api/token/refresh", (401, {"detail": "Token is blacklisted"}))
    world.studio_answers("GET /api/current-user/whoami", (401, {}))
    assert "expired or revoked" in world.the("token", "fail").seen


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ((200, {"legacy_api_tokens_enabled": True}), "ok"),
        ((200, {"legacy_api_tokens_enabled": False}), "warn"),
        ((403, {}), "warn"),
    ],
)
def test_the_token_of_setup_when_ours_is_personal(world: World, settings: Any, status: Any) -> None:
    world.with_token(PERSONAL)
    world.studio_answers("GET /api/jwt/settings", settings)
    finding = world.the("token sent to the backend", status)
    assert ("LABEL_STUDIO_API_KEY" in finding.fix) == (status == "warn")


# --- project and label config


def test_an_unknown_project_lists_those_there_are(world: World) -> None:
    world.checkup = replace(world.checkup, project_id=99)
    assert "4 'dogs'" in world.the("project", "fail").fix
    assert world.the("backend", "ok")


NO_LABELS = '<View><Image name="image" value="$image"/>{}</View>'


@pytest.mark.parametrize(
    ("xml", "seen"),
    [
        ("<View", "not well-formed"),
        ("<View/>", "no <Image>"),
        (NO_LABELS.format('<KeyPoint name="k" toName="image"/>'), "can show a mask"),
        (NO_LABELS.format('<Brush name="b" toName="image" smart="false"/>'), "no smart tool"),
    ],
)
def test_a_config_that_cannot_work(world: World, xml: str, seen: str) -> None:
    set_project(world, label_config=xml)
    finding = world.the("label config", "fail")
    assert seen in finding.seen
    assert "examples/labelling" in finding.fix
    assert world.the("image access, one click", "skipped")


BRUSH = '<BrushLabels name="mask" toName="image" smart="false">'


@pytest.mark.parametrize(
    ("xml", "seen", "fix"),
    [
        (config('<BrushLabels name="mask" toName="image">'), "smart brush", 'smart="false"'),
        (config(label="Cat"), "no label 'Cat' of 'click'", "add 'Cat' to 'mask'"),
        (
            config(prompt='RectangleLabels name="box" toName="image"'),
            "drawn by hand",
            'smartOnly="true"',
        ),
        (
            NO_LABELS.format(
                '<RectangleLabels name="b" toName="image"><Label value="A"/></RectangleLabels>'
            ),
            "takes prompts and shows answers",
            "two tags",
        ),
    ],
)
def test_a_config_that_works_badly(world: World, xml: str, seen: str, fix: str) -> None:
    set_project(world, label_config=xml)
    finding = world.the("label config", "warn")
    assert seen in finding.seen
    assert fix in finding.fix


@pytest.mark.parametrize("case", ["object", "OBJECT"])
def test_a_label_in_another_case_is_no_problem(world: World, case: str) -> None:
    set_project(world, label_config=config(label=case))
    assert world.bad() == []


@pytest.mark.parametrize(
    ("tags", "types"),
    [
        (
            '<Labels name="l" toName="image"><Label value="A"/></Labels>'
            '<Brush name="b" toName="image" smart="false"/>'
            '<KeyPoint name="k" toName="image" smartOnly="true"/>',
            ["keypoint", "labels"],
        ),
        (
            '<BrushLabels name="b" toName="image" smart="false"><Label value="A"/></BrushLabels>'
            '<RectangleLabels name="r" toName="image" smartOnly="true"><Label value="A"/>'
            "</RectangleLabels>",
            ["rectanglelabels"],
        ),
    ],
)
def test_the_prompt_fits_the_config(world: World, tags: str, types: list[str]) -> None:
    set_project(world, label_config=NO_LABELS.format(tags))
    assert world.bad() == []
    (request,) = world.studio.asked("POST /api/ml/7/interactive-annotating")
    prompt = request.body["context"]["result"]
    assert [item["type"] for item in prompt] == types
    assert len({item["id"] for item in prompt}) == 1
    assert all(item["value"]["labels"] == ["A"] for item in prompt)


# --- the backend from here


@pytest.mark.parametrize(
    ("call", "answer", "expected"),
    [
        ("GET /health", (200, {"status": "UP", "model_class": "YOLO"}), ("backend", "fail")),
        ("GET /health", (502, b"<html>"), ("backend", "fail")),
        ("GET /versions", (401, b"user and password needed"), ("backend", "fail")),
        ("GET /ready", (503, {"ready": False, "state": "loading"}), ("model", "warn")),
        ("GET /ready", (503, {"ready": False, "state": "failed"}), ("model", "fail")),
    ],
)
def test_a_backend_that_does_not_serve(
    world: World, call: str, answer: Any, expected: tuple[str, str]
) -> None:
    world.backend_answers(call, answer)
    assert world.bad() == [expected]


@pytest.mark.parametrize(
    ("ready", "model", "status", "seen"),
    [
        ({"ready": True}, {"note": "This is the small starter"}, "ok", "is the small starter"),
        ({"state": "failed"}, {"failure": "sha256 differs"}, "fail", "sha256 differs"),
    ],
)
def test_what_the_backend_says_of_its_model(
    world: World, ready: Any, model: Any, status: Any, seen: str
) -> None:
    world.backend_answers("GET /ready", (200, ready))
    world.backend_answers("GET /status", (200, {"journal": [], "model": model}))
    assert seen in world.the("model", status).seen


def test_a_backend_that_is_down(world: World) -> None:
    world.checkup = replace(world.checkup, backend=Backend("http://127.0.0.1:9"))
    assert "sam-backend serve" in world.the("backend", "fail").fix
    assert world.the("connection", "fail")


def test_basic_auth_is_sent_to_the_backend_only(world: World) -> None:
    world.checkup = replace(world.checkup, backend=Backend(world.backend.url, ("me", "secret")))
    assert world.bad() == [("webhook", "warn")], "Label Studio made it without the password"
    expected = "Basic " + base64.b64encode(b"me:secret").decode()
    assert {request.authorization for request in world.backend.requests} == {expected}
    assert expected not in {request.authorization for request in world.studio.requests}
    assert "secret" not in repr(world.checkup)


# --- Label Studio reaches the backend


@pytest.mark.parametrize(
    ("changes", "name", "seen", "fix"),
    [
        ({"readable_state": "Disconnected"}, "connection", "disconnected", "--host 0.0.0.0"),
        (
            {"readable_state": "Error", "error_message": "401 Client Error: Unauthorized"},
            "connection",
            "401",
            "basic authentication",
        ),
        ({"is_interactive": False}, "interactive", "not sent", "Interactive preannotations on"),
    ],
)
def test_a_broken_connection(
    world: World, changes: dict[str, Any], name: str, seen: str, fix: str
) -> None:
    world.rows(row(world.backend.url, **changes))
    finding = world.the(name, "fail")
    assert seen in finding.seen
    assert fix in finding.fix


def test_another_interactive_backend_gets_the_clicks(world: World) -> None:
    world.rows(row("http://other:9090", id=1, model_version="x"), row(world.backend.url))
    assert "http://other:9090" in world.the("interactive", "fail").seen


def test_nothing_is_connected(world: World) -> None:
    world.rows()
    assert "--connect" in world.the("connection", "fail").fix
    assert not world.studio.asked("POST /api/ml/")


def test_a_backend_under_its_other_address_is_known_by_its_model(world: World) -> None:
    world.rows(row("http://backend:9090"))
    hook = {"url": "http://backend:9090/webhook"}
    world.studio_answers("GET /api/webhooks/", (200, [hook]))
    assert world.bad() == []


def test_a_duplicate(world: World) -> None:
    world.rows(row(world.backend.url), row(world.backend.url + "/", id=8))
    assert "numbers 7 and 8" in world.the("duplicates", "warn").seen


@pytest.mark.parametrize(
    ("n_hooks", "is_active", "seen"),
    [(0, True, "saved by half"), (2, True, "comes 2 times"), (1, False, "switched off")],
)
def test_webhooks(world: World, n_hooks: int, is_active: bool, seen: str) -> None:
    hook = {"url": f"{world.backend.url}/webhook", "is_active": is_active}
    world.studio_answers("GET /api/webhooks/", (200, [hook] * n_hooks))
    assert seen in world.the("webhook", "warn").seen


VERSIONS = "GET /api/projects/3/model-versions/"


@pytest.mark.parametrize("made", [{}, {"My SAM": 0}, {"My SAM": 2, VERSION: 1}])
def test_a_title_of_one_s_own_is_no_problem(world: World, made: dict[str, int]) -> None:
    """Label Studio makes the title the project's version; prefilling sets it to ours."""
    set_project(world, model_version="My SAM")
    world.studio_answers(VERSIONS, (200, made))
    assert world.bad() == []


def test_a_version_that_hides_predictions(world: World) -> None:
    set_project(world, model_version="My SAM")
    world.studio_answers(VERSIONS, (200, {"My SAM": 0, "older": 4, VERSION: 1}))
    finding = world.the("model version", "warn")
    assert "'My SAM', which has none; they are by 'older', " in finding.seen
    assert VERSION in finding.fix


# --- --connect


def test_connect_adds_the_backend_named_by_its_model(world: World) -> None:
    world.rows()

    def connect(request: Request) -> tuple[int, Any]:
        world.rows(row(world.backend.url))
        return 201, row(world.backend.url)

    world.studio_answers("POST /api/ml/", connect)
    world.checkup = replace(world.checkup, connect=True)
    assert world.bad() == []
    (request,) = world.studio.asked("POST /api/ml/")
    assert request.body == {
        "project": 3,
        "url": world.backend.url,
        "is_interactive": True,
        "title": VERSION,
    }


def test_connect_leaves_a_connected_backend_alone(world: World) -> None:
    world.checkup = replace(world.checkup, connect=True)
    assert world.bad() == []
    assert not world.studio.asked("POST /api/ml/")


def test_connect_hands_on_basic_auth(world: World) -> None:
    world.rows()
    world.studio_answers("POST /api/ml/", (400, {}))
    backend = Backend(world.backend.url, ("me", "secret"))
    world.checkup = replace(world.checkup, connect=True, backend=backend)
    assert "secret" not in repr(world.findings())
    (request,) = world.studio.asked("POST /api/ml/")
    assert request.body["auth_method"] == "BASIC_AUTH"
    assert (request.body["basic_auth_user"], request.body["basic_auth_pass"]) == ("me", "secret")


GUARDED = ("me", "hush hush")
AUTHORIZATION = "Basic bWU6aHVzaCBodXNo"
SECRET = event_secret(*GUARDED)
PROXY = {"Authorization": "Bearer of-a-proxy"}


@pytest.mark.parametrize(
    ("headers", "connect", "status", "patched"),
    [
        ({}, False, "warn", None),
        ({"Authorization": "Basic b2xkOm9sZA=="}, False, "warn", None),
        ({"authorization": AUTHORIZATION}, True, "ok", None),
        ({HEADER: SECRET}, False, "ok", None),
        ({HEADER: "old"}, False, "warn", None),
        ({"X-Team": "a"}, True, "ok", {"X-Team": "a", HEADER: SECRET}),
        ({"authorization": "Basic b2xkOm9sZA=="}, True, "ok", {HEADER: SECRET}),
        (PROXY, True, "ok", PROXY | {HEADER: SECRET}),
    ],
)
def test_events_carry_the_secret_of_a_backend_with_basic_auth(
    world: World,
    headers: dict[str, str],
    connect: bool,
    status: str,
    patched: dict[str, str] | None,
) -> None:
    hook = {"id": 9, "url": f"{world.backend.url}/webhook", "headers": headers}
    world.studio_answers("GET /api/webhooks/", (200, [hook]))
    world.studio_answers("PATCH /api/webhooks/9/", (200, hook))
    backend = Backend(world.backend.url, GUARDED)
    world.checkup = replace(world.checkup, connect=connect, backend=backend)
    found = world.findings()
    assert [f.status for f in found if f.name == "webhook"] == [status]
    assert "hush" not in repr(found)
    assert AUTHORIZATION not in repr(found)
    assert SECRET not in repr(found)
    asked = world.studio.asked("PATCH /api/webhooks/9/")
    assert [request.body for request in asked] == ([{"headers": patched}] if patched else [])


def test_a_webhook_that_may_not_be_changed_is_told(world: World) -> None:
    hook = {"id": 9, "url": f"{world.backend.url}/webhook"}
    world.studio_answers("GET /api/webhooks/", (200, [hook]))
    world.studio_answers("PATCH /api/webhooks/9/", (403, {"detail": "not allowed"}))
    backend = Backend(world.backend.url, GUARDED)
    world.checkup = replace(world.checkup, connect=True, backend=backend)
    assert "403: not allowed" in world.the("webhook", "warn").seen


@pytest.mark.parametrize("is_half_saved", [False, True])
def test_connect_refused_by_the_ban_list(world: World, is_half_saved: bool) -> None:
    world.rows()

    def refuse(request: Request) -> tuple[int, Any]:
        world.rows(*[row(world.backend.url)] * is_half_saved)
        return 403, {"detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)"}

    world.studio_answers("POST /api/ml/", refuse)
    world.checkup = replace(world.checkup, connect=True)
    found = [f for f in world.findings() if f.name == "connection"]
    assert "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false" in found[0].fix
    assert "lowers the protection" in found[0].fix
    assert [f.status for f in found] == ["fail", "warn"][: 1 + is_half_saved]
    assert all("number 7" in f.seen for f in found[1:])


def test_connect_to_a_backend_that_label_studio_cannot_see(world: World) -> None:
    world.rows()
    answer = {"detail": "Can't connect to ML backend, health check failed"}
    world.studio_answers("POST /api/ml/", (400, answer))
    world.checkup = replace(world.checkup, connect=True)
    finding = world.the("connection", "fail")
    assert "health check failed" in finding.seen
    assert "container" in finding.fix


# --- image and click


@pytest.mark.parametrize(
    ("call", "answer", "seen", "fix"),
    [
        (
            "GET /api/projects/3/tasks/",
            (200, [{"id": 5, "data": {"photo": "/data/a.png"}}]),
            "'image'",
            "$image",
        ),
        ("GET /data/a.png", (404, {}), "404", "no file at this address"),
        ("GET /data/a.png", (500, {}), "500", "does the browser show it"),
        (
            "GET /api/projects/3/tasks/",
            (200, [{"id": 5, "data": {"image": "/data/upload/3/gone.png"}}]),
            "404",
            "the uploaded file is gone",
        ),
        (
            "GET /api/projects/3/tasks/",
            (200, [{"id": 5, "data": {"image": "/data/local-files/?d=x.png"}}]),
            "404",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT",
        ),
        (
            "GET /api/projects/3/tasks/",
            (200, [{"id": 5, "data": {"image": "s3://bucket/x.png"}}]),
            "s3://bucket/x.png",
            "Cloud Storage",
        ),
        ("GET /data/a.png", (200, b"no picture"), "cannot be read as an image", "replace"),
        (
            "GET /api/projects/3/tasks/",
            (200, [{"id": 5, "data": {"image": "http://localhost:1/data/upload/a.png"}}]),
            "not a public address",
            "LABEL_STUDIO_HOST",
        ),
        (
            "GET /api/projects/3/tasks/",
            (200, [{"id": 5, "data": {"image": "http://10.0.0.1/a.png"}}]),
            "not a public address",
            "SAM_BACKEND_ALLOW_PRIVATE_ADDRESSES",
        ),
    ],
)
def test_an_image_that_cannot_be_had(
    world: World, call: str, answer: Any, seen: str, fix: str
) -> None:
    world.studio_answers(call, answer)
    finding = world.the("image access", "fail")
    assert seen in finding.seen
    assert fix in finding.fix
    assert world.the("one click", "skipped")


def test_an_image_that_the_backend_refuses_as_too_large(world: World) -> None:
    world.checkup = replace(world.checkup, max_pixels=PIXELS - 1)
    finding = world.the("image access", "fail")
    assert f"64 x 48 pixels, over the limit of {PIXELS - 1}" in finding.seen
    assert "SAM_BACKEND_MAX_IMAGE_MEGAPIXELS" in finding.fix


def test_a_project_without_tasks(world: World) -> None:
    world.studio_answers("GET /api/projects/3/tasks/", (200, []))
    assert world.bad() == [("image access", "skipped"), ("one click", "skipped")]


CLICK = "POST /api/ml/7/interactive-annotating"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ((200, {"errors": ["500 Server Error"]}), "500 Server Error"),
        ((200, {"data": {"result": []}}), "no region"),
        ((200, {"data": {"result": [region() | {"value": {"rle": "?"}}]}}), "damaged"),
        ((404, {"detail": "Not found."}), "404"),
    ],
)
def test_a_click_without_an_answer(world: World, answer: Any, seen: str) -> None:
    world.studio_answers(CLICK, answer)
    assert seen in world.the("one click", "fail").seen


@pytest.mark.parametrize("kind", ["brush", "ellipse", "polygon", "bitmask", "rectangle"])
def test_an_answer_that_claims_another_size_than_the_image_is_not_decoded(
    world: World, kind: str
) -> None:
    world.studio_answers(CLICK, (200, {"data": {"result": [forged(kind, 13_000)]}}))
    with traced_peak() as peak:
        finding = world.the("one click", "fail")
    assert peak.bytes < PEAK_BYTES
    assert "an image of 13000x13000 pixels, its image has 64x48" in finding.seen


def test_the_backends_own_reason_is_told(world: World) -> None:
    old = {"reason": "an old story"}

    def fail(request: Request) -> tuple[int, Any]:
        new = {"reason": "the image answers 401"}
        world.backend_answers("GET /status", (200, {"journal": [new, old]}))
        return 200, {"data": {"result": []}}

    world.backend_answers("GET /status", (200, {"journal": [old]}))
    world.studio_answers(CLICK, fail)
    finding = world.the("one click", "fail")
    assert "the image answers 401" in finding.fix
    assert "an old story" not in finding.fix


@pytest.mark.parametrize("call", ["GET /api/ml/", "GET /api/webhooks/", CLICK])
def test_a_proxys_page_instead_of_json(world: World, call: str) -> None:
    world.studio_answers(call, (200, b"<html>please log in</html>"))
    assert ("Label Studio", "fail") in world.bad()
