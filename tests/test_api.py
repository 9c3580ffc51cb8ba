"""What `import sam_backend as sb` gives: a model, an image, masks; and clear errors."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import sam_backend as sb
from sam_backend import api
from sam_backend.cli.main import app
from sam_backend.errors import ImageDecodeError, ModelStoreError
from sam_backend.project_api import project_settings
from sam_backend.store.models import packaged_store
from sam_backend.training.scenes import simple_scene


@pytest.fixture(scope="module")
def model() -> sb.Model:
    return sb.load_model("starter", device="cpu")


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(simple_scene(np.random.default_rng(9), 256).image).save(file)
    return file


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, sam_backend as sb; "
        "assert {'load_model', 'Prompt'} <= set(dir(sb)); "
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in "
        "{'torch', 'numpy', 'cv2', 'PIL', 'scipy', 'pydantic', 'sam_backend'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["sam_backend"], done.stderr


def test_the_package_names_what_the_module_names() -> None:
    assert set(sb.__all__) == {*api.__all__, "__version__"}
    for name in api.__all__:
        assert getattr(sb, name) is getattr(api, name)
    tree = ast.parse(Path(sb.__file__).read_text())
    seen_by_editors = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "sam_backend.api"
        for alias in node.names
    }
    assert seen_by_editors == set(api.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'sam_backend' has no attribute 'load_modell'"):
        sb.load_modell  # noqa: B018  the access is the test


def test_from_a_file_to_a_mask(model: sb.Model, scene_file: Path) -> None:
    image = sb.read_image(scene_file)
    assert (image.shape, image.dtype) == ((256, 256, 3), np.uint8)
    embedding = model.embed(image)
    masks = model.predict(embedding, sb.Prompt(points=[(128, 128)]))
    assert len(masks) == 3
    assert masks[0].mask.shape == (256, 256)
    assert masks[0].predicted_iou >= masks[1].predicted_iou
    boxed, clicked = model.predict_many(
        embedding,
        [sb.Prompt(box=(20, 20, 200, 200)), sb.Prompt(points=[[9, 9], [200, 90]], labels=[1, 0])],
    )
    assert len(boxed) == len(clicked) == 1


def test_every_mask_of_an_image(model: sb.Model, scene_file: Path) -> None:
    image = sb.read_image(scene_file)
    records = list(model.generate(image, points_per_side=4))
    assert records
    for record in records:
        rows, columns = np.nonzero(record.mask)
        x, y, width, height = record.bbox_xywh
        assert (x, y) == (columns.min(), rows.min())
        assert (width, height) == (columns.max() - x + 1, rows.max() - y + 1)
        assert 0 <= record.stability <= 1
        assert record.predicted_iou > model.automatic["predicted_iou"]
    in_one_line = list(sb.generate(scene_file, model, points_per_side=4))
    assert [record.box for record in in_one_line] == [record.box for record in records]


def test_starter_is_what_ships_whatever_else_is_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipped = {path.name for path in packaged_store().glob("*/card.json") for path in [path.parent]}
    monkeypatch.setenv("SAM_BACKEND_MODEL_STORE", str(tmp_path))
    monkeypatch.setenv("SAM_BACKEND_MODEL", "vit_b")
    version = sb.load_model("starter", device="cpu").version.partition("+")[0]
    assert version in shipped


@pytest.mark.parametrize("name", ["starter-3", packaged_store() / "starter-3"])
def test_a_version_and_a_folder(name: str | Path) -> None:
    loaded = sb.load_model(name, device="cpu")
    assert loaded.version.startswith("starter-3+")
    assert loaded.automatic is not None
    assert loaded.automatic.keys() >= {"points_per_side", "predicted_iou", "stability"}
    assert repr(loaded) == f"<Model {loaded.version} on cpu>"


def test_a_weights_file_alone_has_no_thresholds_of_its_own() -> None:
    loaded = sb.load_model(packaged_store() / "starter-3" / "weights.safetensors", "cpu")
    assert loaded.automatic == {}


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        ({"name": "vit_x"}, ModelStoreError, "no model 'vit_x' in the store (here: starter-"),
        ({"name": "gone.pth"}, ModelStoreError, "cannot read gone.pth: No such file"),
        ({"name": Path("gone")}, ModelStoreError, "cannot read gone: No such file"),
        ({"name": "starter", "device": "tpu"}, sb.InvalidInputError, "not 'tpu'"),
        ({"name": "starter", "precision": "float8"}, sb.InvalidInputError, "float8"),
    ],
)
def test_a_model_that_is_not_there(
    given: dict[str, Any],
    error: type[Exception],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SAM_BACKEND_MODEL_STORE", str(tmp_path))
    with pytest.raises(error, match=re.escape(why)):
        sb.load_model(**given)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    notes = tmp_path / "notes.png"
    notes.write_text("no picture")
    with pytest.raises(ImageDecodeError, match=r"notes.png: the file of 10 bytes"):
        sb.read_image(notes)
    with pytest.raises(FileNotFoundError, match=r"there is no image file .*gone\.jpg"):
        sb.read_image(str(tmp_path / "gone.jpg"))
    with pytest.raises(sb.InvalidInputError, match="not addresses: https://a"):
        sb.read_image("https://a.example/cup.jpg")


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        ("cup.jpg", "sb.read_image('cup.jpg')"),
        (np.zeros((4, 5), np.uint8), "uint8 of shape (4, 5): repeat a grey image"),
        (np.zeros((4, 5, 4), np.uint8), "image[..., :3]"),
        (np.zeros((3, 4, 5), np.uint8), "image.transpose(1, 2, 0)"),
        (np.zeros((4, 5, 2), np.uint8), "choose three of its 2 channels"),
        (np.zeros((4, 5, 3)), "(image * 255).clip(0, 255).astype(np.uint8)"),
        (np.full((4, 5, 3), 300, np.uint16), "(image).clip(0, 255)"),
        (np.zeros((0, 5, 3), np.uint8), "an empty image has no mask"),
        (np.zeros((2, 4, 5, 3), np.uint8), "give the array of one image"),
        (None, "give the array of one image"),
    ],
)
def test_an_odd_image_gets_a_remedy(model: sb.Model, image: Any, remedy: str) -> None:
    with pytest.raises(sb.InvalidInputError, match=re.escape(remedy)):
        model.embed(image)
    with pytest.raises(sb.InvalidInputError, match=re.escape(remedy)):
        model.generate(image)


def test_prompts_beside_the_image_are_named(model: sb.Model) -> None:
    embedding = model.embed(np.zeros((40, 60, 3), np.uint8))
    for points in ([(60, 5)], [(5, 40)], [(5, 5), (-1, 5)]):
        with pytest.raises(sb.SamBackendError, match="lies outside of the image of 60 x 40"):
            model.predict(embedding, sb.Prompt(points=points))
    with pytest.raises(sb.SamBackendError, match=r"the box \(70, 1, 90, 9\)"):
        model.predict(embedding, sb.Prompt(box=(70, 1, 90, 9)))
    assert model.predict(embedding, sb.Prompt(box=(-5, -5, 61, 41))), "a box may stick out"


def test_an_embedding_of_another_model_is_refused(model: sb.Model) -> None:
    foreign = sb.Embedding(np.zeros((8, 4, 4), np.float32), (40, 60), (40, 60))
    with pytest.raises(sb.InvalidInputError, match=r"shape \(8, 4, 4\) was not made by starter"):
        model.predict(foreign, sb.Prompt(points=[(1, 1)]))


def test_an_unknown_setting_is_refused_before_anything_is_computed(model: sb.Model) -> None:
    with pytest.raises(sb.InvalidInputError, match="did you mean 'points_per_side'"):
        model.generate(np.zeros((8, 8, 3), np.uint8), points_pre_side=3)
    with pytest.raises(sb.InvalidInputError, match="no preset 'papper'"):
        model.generate(np.zeros((8, 8, 3), np.uint8), preset="papper")


def test_shards_are_those_of_the_command_and_are_made_once(
    scene_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SAM_BACKEND_TUNE_ALLOCATOR", "false")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    stages = []
    summary = sb.generate_shards(
        scene_file,
        ours,
        device="cpu",
        observe=lambda state: stages.append(state.stage),
        points_per_side=2,
        stability=None,
    )
    assert (summary.listed, summary.progress.done, summary.unreadable) == (1, 1, {})
    assert stages[-1] == "finding masks"
    options = ["--out", str(theirs), "--set", "points_per_side=2", "--device", "cpu"]
    done = CliRunner().invoke(app, ["generate", str(scene_file), *options])
    assert done.exit_code == 0, done.output
    (image,), (same,) = sb.read_shards(ours), sb.read_shards(theirs)
    assert image.as_dict() == same.as_dict()

    again = sb.generate_shards(scene_file, ours, device="cpu", points_per_side=2)
    assert (again.progress.done, again.progress.known) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"shard_images": 0}, "shard_images must be at least 1, not 0"),
        ({"points": 2}, "points"),
        ({"preset": "papers"}, "papers"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_before_it_begins(
    scene_file: Path, tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    with pytest.raises(sb.InvalidInputError, match=reason):
        sb.generate_shards(scene_file, tmp_path / "run", device="cpu", **wrong)
    assert not (tmp_path / "run").exists()


def test_shards_of_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(sb.InvalidInputError, match="holds no run"):
        sb.read_shards(tmp_path)


ELSEWHERE = "http://labels.example"


@pytest.mark.parametrize(
    ("url", "api_key", "wanted"),
    [
        (None, None, ("http://ours.example", "secret-of-ours")),
        ("http://ours.example", None, ("http://ours.example", "secret-of-ours")),
        (None, "another", ("http://ours.example", "another")),
        (ELSEWHERE, "another", (ELSEWHERE, "another")),
        (ELSEWHERE, None, (ELSEWHERE, None)),
    ],
)
def test_the_environments_token_goes_to_its_own_address_only(
    url: str | None,
    api_key: str | None,
    wanted: tuple[str, str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://ours.example")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret-of-ours")
    settings = project_settings(url, api_key)
    key = settings.label_studio_api_key
    assert (settings.label_studio_url, key and key.get_secret_value()) == wanted


def test_a_token_needs_an_address() -> None:
    with (
        pytest.raises(sb.InvalidInputError, match="api_key needs url"),
        sb.open_project(7, api_key="secret"),
    ):
        pass


def test_a_project_of_an_unknown_label_studio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path))
    with pytest.raises(sb.SamBackendError, match="LABEL_STUDIO_URL"), sb.open_project(7):
        pass
    assert not list(tmp_path.glob("*.sqlite*"))  # nothing is made for a project nobody found
