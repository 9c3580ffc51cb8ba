"""The backend behind the wire, with the packaged starter and a real host of images."""

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import InvalidInputError
from sam_backend.json_form import as_json
from sam_backend.labelstudio.config.label_config import LabelConfig, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.labelstudio.regions.region import Answer
from sam_backend.masks.overlap import mask_iou
from sam_backend.server.protocol import PredictRequest
from sam_backend.server.service import Service
from tests.canned_server import CannedServer, canned_server
from tests.redis_server import running_redis
from tests.server.playing import (
    CONFIG,
    PROJECT,
    ask,
    box,
    disc,
    disc_image,
    png,
    point,
    reasons,
    running_service,
    set_up,
)

SAMPLES = Path(__file__).parents[1] / "data" / "labelstudio"
SIZE = (240, 320)
LEFT, RIGHT = (90, 120, 50), (230, 110, 60)
IMAGES = {
    "GET /left.png": (200, png(disc_image(SIZE, *LEFT, (200, 30, 30)))),
    "GET /right.png": (200, png(disc_image(SIZE, *RIGHT, (30, 60, 200)))),
    "GET /drawing.svg": (200, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "GET /broken.png": (200, b"\x89PNG\r\n\x1a\n and no more"),
}


@pytest.fixture(scope="module")
def images() -> Iterator[CannedServer]:
    with canned_server(IMAGES) as server:
        yield server


@pytest.fixture
def service(images: CannedServer, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path) as running:
        set_up(running, images.url)
        yield running


def test_a_click_gives_the_mask_of_what_was_clicked(service: Service) -> None:
    (region,) = ask(service, "/left.png", point(90 / 3.2, 120 / 2.4))
    assert mask_iou(codec.decode(region), disc(SIZE, *LEFT)) > 0.8
    assert region["value"]["brushlabels"] == ["Car"]
    assert (region["original_width"], region["original_height"]) == (320, 240)
    assert 0 <= region["score"] <= 1
    assert reasons(service) == []


def test_a_box_gives_the_mask_in_it(service: Service) -> None:
    (region,) = ask(service, "/right.png", box(53, 20, 38, 52))
    assert mask_iou(codec.decode(region), disc(SIZE, *RIGHT)) > 0.8


def test_several_boxes_give_one_mask_each(service: Service) -> None:
    first, second = ask(service, "/left.png", box(12, 29, 32, 42), box(60, 60, 20, 20))
    assert mask_iou(codec.decode(first), disc(SIZE, *LEFT)) > 0.8
    assert first["id"] != second["id"]


def test_a_negative_click_takes_its_place_out_of_the_mask(service: Service) -> None:
    clicks = [point(28, 50), point(28, 65, is_positive=False)]
    before = codec.decode(ask(service, "/left.png", clicks[0])[0])
    after = codec.decode(ask(service, "/left.png", *clicks)[0])
    assert before[156, 90]
    assert after.sum() < before.sum()


def test_a_click_inside_a_pending_box_joins_it(service: Service) -> None:
    """Alone, a negative click says nothing; Label Studio never sends it with its box."""
    beside = point(40, 68, is_positive=False)
    assert ask(service, "/left.png", beside, task_id=2) == []
    assert "only negative clicks" in reasons(service)[0]
    boxed = box(12, 29, 32, 42)
    ask(service, "/left.png", boxed, task_id=1)
    drafts = [{"id": 1, "result": [boxed], "updated_at": "2026-11-23T14:00:00Z"}]
    (region,) = ask(service, "/left.png", beside, task_id=1, drafts=drafts)
    assert mask_iou(codec.decode(region), disc(SIZE, *LEFT)) > 0.7


def test_a_click_joins_a_box_that_is_still_being_answered(service: Service) -> None:
    """Label Studio sends a second prompt while the first one waits for its answer."""
    blocked, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        blocked.set()
        may_go.wait(60)

    service.wait_until_loaded()
    service._champion.device.submit(hold)
    blocked.wait()
    earlier = [{"id": 1, "result": [], "updated_at": "2026-11-23T14:00:00Z"}]
    with ThreadPoolExecutor(2) as pool:
        boxed = pool.submit(ask, service, "/left.png", box(12, 29, 32, 42), drafts=earlier)
        while service._champion.device.queue_length == 0:
            time.sleep(0.01)
        beside = point(40, 68, is_positive=False)
        clicked = pool.submit(ask, service, "/left.png", beside, drafts=earlier)
        time.sleep(0.2)
        may_go.set()
        assert len(boxed.result()) == len(clicked.result()) == 1
    assert reasons(service) == []


def test_a_brush_on_the_task_is_a_mask_prompt_where_the_config_marks_it(service: Service) -> None:
    """A negative click asks for nothing by itself; inside a marked brush it refines that."""
    config = CONFIG.replace(
        "</View>",
        '<BrushLabels name="rough" toName="image" smart="false" sam="prompt">'
        '<Label value="Car"/></BrushLabels></View>',
    )
    rough = disc(SIZE, 90, 120, 40)
    tag = LabelConfig.parse(config).control("rough")
    drawn = codec.encode(rough, Answer(tag, NamedLabel("Car")))
    drafts = [{"id": 1, "result": drawn, "updated_at": "2026-11-23T14:00:00Z"}]
    beside = point(40, 68, is_positive=False)
    inside = point(28, 62, is_positive=False)
    assert ask(service, "/left.png", inside, task_id=1) == []
    (region,) = ask(service, "/left.png", inside, task_id=2, config=config, drafts=drafts)
    assert mask_iou(codec.decode(region), rough) > 0.5
    assert ask(service, "/left.png", beside, task_id=3, config=CONFIG, drafts=drafts) == []


def test_a_longer_list_refines_the_last_answer(
    service: Service, images: CannedServer, tmp_path: Path
) -> None:
    clicks = [point(28, 50), point(30, 60)]
    ask(service, "/left.png", clicks[0])
    refined = ask(service, "/left.png", *clicks)
    again = ask(service, "/left.png", *clicks)
    assert again[0]["value"] == refined[0]["value"]
    with running_service(tmp_path / "other") as fresh:
        set_up(fresh, images.url)
        at_once = ask(fresh, "/left.png", *clicks)
    assert at_once[0]["score"] != refined[0]["score"]


def test_all_masks_of_a_lone_click_by_setting(images: CannedServer, tmp_path: Path) -> None:
    with running_service(tmp_path, all_masks=True) as service:
        set_up(service, images.url)
        regions = ask(service, "/left.png", point(28, 50))
        assert len({region["id"] for region in regions}) == 3
        assert len(ask(service, "/left.png", box(12, 29, 32, 42))) == 1


def test_the_image_is_the_one_that_the_tag_names(service: Service) -> None:
    config = CONFIG.replace("$image", "$img")
    data = {"caption": "/right.png", "img": "/left.png"}
    (region,) = ask(service, "", point(28, 50), config=config, data=data)
    assert mask_iou(codec.decode(region), disc(SIZE, *LEFT)) > 0.8


def test_exif_orientation_6_is_applied(service: Service, images: CannedServer) -> None:
    # Stored lying on its left side: turned a quarter clockwise for display.
    shown = Image.fromarray(disc_image((320, 240), 60, 200, 40, (200, 30, 30)))
    stored = shown.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    stored.save(file, "JPEG", quality=95, exif=exif)
    images.routes["GET /turned.jpg"] = (200, file.getvalue())  # type: ignore[index]
    click = point(60 / 2.4, 200 / 3.2, original_width=240, original_height=320)
    (region,) = ask(service, "/turned.jpg", click)
    assert (region["original_width"], region["original_height"]) == (240, 320)
    assert mask_iou(codec.decode(region), disc((320, 240), 60, 200, 40)) > 0.8


def test_the_same_question_gets_the_same_answer(service: Service) -> None:
    first, second = (ask(service, "/left.png", point(28, 50))[0] for _ in range(2))
    assert first["value"] == second["value"]


def test_never_the_other_images_mask(service: Service) -> None:
    """Two threads, two images, 1,000 rounds, the same task number and the same click."""
    expected = {
        name: ask(service, name, point(50, 48), task_id=7)[0]["value"]
        for name in ("/left.png", "/right.png")
    }
    assert expected["/left.png"] != expected["/right.png"]

    def click(name: str) -> list[bool]:
        return [
            ask(service, name, point(50, 48), task_id=7)[0]["value"] == expected[name]
            for _ in range(500)
        ]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(click, expected))
    assert all(all(same) for same in answers)


def test_two_label_studios_with_the_same_task_and_path(service: Service) -> None:
    there = {"GET /left.png": IMAGES["GET /right.png"]}
    with canned_server(there) as other:
        set_up(service, other.url, project="1.99", token="other")
        (ours,) = ask(service, "/left.png", point(28, 50))
        (theirs,) = ask(service, "/left.png", point(72, 46), project="1.99")
        assert mask_iou(codec.decode(ours), disc(SIZE, *LEFT)) > 0.8
        assert mask_iou(codec.decode(theirs), disc(SIZE, *RIGHT)) > 0.8
        assert {request.authorization for request in other.requests} == {"Token other"}


def test_redis_is_killed_in_the_middle(images: CannedServer, tmp_path: Path) -> None:
    with running_redis() as redis, running_service(tmp_path, redis_url=redis.url) as service:
        set_up(service, images.url)
        assert ask(service, "/left.png", point(28, 50))
        assert service.status().embeddings.redis == "connected"
        redis.kill()
        assert ask(service, "/left.png", point(30, 50))
        assert ask(service, "/right.png", point(72, 46))
        assert service.status().embeddings.redis == "away: memory only"
        assert reasons(service) == []


def test_two_servers_share_embeddings_through_redis(images: CannedServer, tmp_path: Path) -> None:
    with running_redis() as redis:
        with running_service(tmp_path, redis_url=redis.url) as first:
            set_up(first, images.url)
            ask(first, "/left.png", point(28, 50))
        with running_service(tmp_path, redis_url=redis.url) as second:
            ask(second, "/left.png", point(28, 50))
            counts = second.status().embeddings
            assert (counts.from_cache, counts.encoded) == (1, 0)


def test_an_opened_task_is_warm_at_the_first_click(service: Service) -> None:
    opened = PredictRequest(
        tasks=[{"id": 1, "data": {"image": "/left.png"}}], project=PROJECT, label_config=CONFIG
    )
    assert service.predict(opened).content == {"results": [[]]}
    assert ask(service, "/left.png", point(28, 50))
    counts = service.status().embeddings
    assert counts.encoded == 1
    assert counts.from_cache + counts.shared == 1


def test_a_batch_is_answered_one_by_one_and_stores_nothing(service: Service) -> None:
    tasks = [{"id": number, "data": {}} for number in range(250)]
    batch = PredictRequest(tasks=tasks, project=PROJECT, label_config=CONFIG)
    assert service.predict(batch).content == {"results": [[]] * 250}


SAMPLE_NAMES = sorted(path.name for path in SAMPLES.glob("predict_interactive*.json"))


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_recorded_requests_get_masks(service: Service, images: CannedServer, name: str) -> None:
    body = json.loads((SAMPLES / name).read_text())["body"]
    (task,) = body["tasks"]
    task["data"]["image"] = "/left.png"
    set_up(service, images.url, body["project"])
    (prediction,) = service.predict(PredictRequest.model_validate(body)).content["results"]
    shapes = [region for region in prediction["result"] if region["type"] != "labels"]
    assert len(shapes) == (2 if "two_rects" in name else 1)
    assert prediction["model_version"] == service.model_version


def test_the_recordings_are_there() -> None:
    assert len(SAMPLE_NAMES) == 7


def test_two_people_on_one_task_get_the_masks_they_would_get_alone(
    service: Service, images: CannedServer, tmp_path: Path
) -> None:
    """Recorded from two browsers: Ben's clicks lie inside the box that Anna has just drawn."""
    recorded = json.loads((SAMPLES / "two_people_on_one_task.json").read_text())

    def answers(asked: Service, *people: str) -> list[object]:
        set_up(asked, images.url, recorded[0]["body"]["project"])
        return [
            [region["value"] for region in prediction["result"]]
            for one in recorded
            if one["person"] in people
            for prediction in asked.predict(PredictRequest.model_validate(one["body"])).content[
                "results"
            ]
        ]

    with running_service(tmp_path / "ben") as alone:
        bens = answers(alone, "ben")
    assert len(bens) == 4
    assert answers(service, "anna", "ben")[1:] == bens


NAN = float("nan")


@pytest.mark.parametrize(
    ("image", "prompts", "more", "reason"),
    [
        ("/left.png", [point(28, 50, from_name="nope")], {}, "no control tag is named 'nope'"),
        ("/left.png", [point(28, 50, to_name="nope")], {}, "no image tag is named 'nope'"),
        ("/left.png", [point(NAN, 50)], {}, "must be a number"),
        ("/left.png", [point(150, 50)], {}, "outside the image"),
        ("/left.png", [box(20, 20, 0, 10)], {}, "inside the image"),
        ("/left.png", [box(20, 20, NAN, 10)], {}, "must be a number"),
        ("/left.png", ["text"], {}, "must be an object"),
        ("/none.png", [point(28, 50)], {}, "answers 404"),
        ("/broken.png", [point(28, 50)], {}, "cannot be read as an image"),
        ("/drawing.svg", [point(28, 50)], {}, "an SVG drawing, which has no pixels: export it"),
        ("", [point(28, 50)], {}, "reads the field 'image'"),
        ("/left.png", [point(28, 50)], {"data": None}, "data must be an object"),
        ("/left.png", [point(28, 50)], {"project": "9.9"}, "project '9.9' is unknown"),
        ("/left.png", [point(28, 50)], {"config": "<View>"}, "not well-formed"),
        ("http://10.0.0.1/x.png", [point(28, 50)], {}, "not a public address"),
        ("file:///etc/passwd", [point(28, 50)], {}, "is no address that we fetch"),
    ],
)
def test_bad_input_is_an_empty_answer_with_a_reason(
    service: Service, image: str, prompts: list, more: dict, reason: str
) -> None:
    assert ask(service, image, *prompts, **more) == []
    assert reason in reasons(service)[0]


def test_a_label_that_the_output_lacks_is_an_unlabelled_region(service: Service) -> None:
    click = point(28, 50)
    click["value"]["keypointlabels"] = ["Boat"]
    (region,) = ask(service, "/left.png", click)
    assert "brushlabels" not in region["value"]
    assert "('brush') has the label 'Boat'" in reasons(service)[0]


def test_a_label_goes_to_the_tag_that_has_it_and_all_labels_survive(service: Service) -> None:
    config = CONFIG.replace(
        "</View>",
        '<PolygonLabels name="lesion" toName="image"><Label value="Tumor"/><Label value="Cyst"/>'
        '</PolygonLabels><Image name="gallery" valueList="$urls"/></View>',
    )
    for labels, tag in ((["Car"], "brush"), (["Tumor"], "lesion"), (["Cyst", "Tumor"], "lesion")):
        click = point(28, 50)
        click["value"]["keypointlabels"] = labels
        (region,) = ask(service, "/left.png", click, config=config)
        assert region["from_name"] == tag
        assert region["value"][region["type"]] == labels
        assert mask_iou(codec.decode(region), disc(SIZE, *LEFT)) > 0.8
        [read] = drawn_masks([region], None, LeftOut(), "task 1", lambda name: SIZE)
        assert read.mask.labels == tuple(labels), "as data sets, versions and exports read it"
    assert reasons(service) == []
    in_gallery = point(28, 50, to_name="gallery")
    assert ask(service, "/left.png", in_gallery, config=config) == []
    assert "'gallery' is not served: galleries" in reasons(service)[0]


def test_prompts_for_several_tasks_are_refused(service: Service) -> None:
    request = PredictRequest(
        tasks=[{"id": 1}, {"id": 2}], params={"context": {"result": [point(1, 1)]}}
    )
    with pytest.raises(InvalidInputError, match="not with 2"):
        service.predict(request)


def test_no_token_in_log_status_or_journal(
    images: CannedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "0123456789abcdef0123456789abcdef01234567"
    with caplog.at_level(logging.DEBUG), running_service(tmp_path) as service:
        set_up(service, images.url, token=secret)
        ask(service, "/left.png?token=query5ecret", point(28, 50))
        ask(service, "/none.png?token=query5ecret", point(28, 50))
        said = caplog.text + json.dumps(as_json(service.status()))
    assert images.asked("GET /left.png")[-1].authorization == f"Token {secret}"
    assert secret not in said
    assert "query5ecret" not in said


def test_the_mask_is_on_the_real_image_whatever_size_the_prompt_names(service: Service) -> None:
    click = point(28, 50, original_width=3200, original_height=2400)
    (region,) = ask(service, "/left.png", click)
    assert codec.decode(region).shape == SIZE
    click = point(28, 50, original_width=240, original_height=320)
    assert ask(service, "/left.png", click)
    assert "240x320" in reasons(service)[0]


def test_a_mask_under_the_tags_threshold_is_not_shown(service: Service) -> None:
    on_nothing = box(60, 60, 20, 20)
    (region,) = ask(service, "/left.png", on_nothing)
    threshold = (1 + region["score"]) / 2
    assert threshold < 1
    config = CONFIG.replace('name="brush"', f'name="brush" sam_score_threshold="{threshold}"')
    assert ask(service, "/left.png", on_nothing, config=config, task_id=2) == []
    assert f"sam_score_threshold {threshold:g}" in reasons(service)[0]
