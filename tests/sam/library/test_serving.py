"""A family of the library is added, served, swapped, shared between caches and run in bulk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sam_backend as sb
from sam_backend.errors import ModelStoreError
from sam_backend.fully_automatic.run_folder import read_run
from sam_backend.retraining.request import RetrainingRequest, chosen_parent
from sam_backend.sam.device import Priority
from sam_backend.sam.embeddings import EmbeddingKey, MemoryEmbeddings, RedisEmbeddings
from sam_backend.sam.types import Prompt
from sam_backend.serving.champion import Champion
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.store.comparison import compare
from sam_backend.store.models import ModelStore
from tests.fully_automatic.making import make_images
from tests.redis_server import running_redis
from tests.sam.library.networks import folder_of
from tests.sam.library.test_families import model, picture, write_original

CLICK = Prompt([(20, 20)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    base = tmp_path_factory.mktemp("families")
    made = ModelStore([base / "store"])
    made.add(folder_of("sam2", base / "tiny-2"), licence="Apache-2.0")
    made.add(folder_of("sam2", base / "other-2", seed=1))
    made.add(folder_of("sam_hq", base / "tiny-hq"))
    return made


def settings(store: ModelStore, **more: object) -> Settings:
    return Settings(model_store=store.get("tiny-2").folder.parent, precision="float32", **more)


def test_a_folder_is_added_with_its_configuration(store: ModelStore) -> None:
    entry = store.get("tiny-2")
    assert (entry.card.family, entry.card.licence) == ("sam2", "Apache-2.0")
    config = json.loads((entry.folder / "config.json").read_text())
    assert config["model_type"] == "sam2"
    assert entry.card.parameters == sum(w.numel() for w in model("sam2")._network.parameters())
    assert store.get("sam_hq").version == "tiny-hq"


def test_a_raw_file_is_added_as_it_is(store: ModelStore, tmp_path: Path) -> None:
    _, path = write_original("sam2", tmp_path / "sam2.1_hiera_tiny.pt")
    entry = ModelStore([tmp_path / "store"]).add(path)
    assert (entry.version, entry.card.family) == ("sam2.1_hiera_tiny", "sam2")
    assert compare(entry, store.get("tiny-2")).weights is None, "another size of the family"


def test_what_differs_between_two_of_a_family_is_told(store: ModelStore) -> None:
    parts = compare(store.get("tiny-2"), store.get("other-2")).weights
    assert parts is not None
    assert {part.part for part in parts} >= {"vision_encoder", "mask_decoder"}


def test_one_is_served_then_another_then_a_starter_again(store: ModelStore) -> None:
    versions = ["tiny-2", "tiny-hq", "other-2"]
    choices = [ModelChoice(settings(store, model=one), store).checkpoint() for one in versions]
    champion = Champion(choices[0], MemoryEmbeddings(10**8))
    try:
        for version, checkpoint in zip(versions, choices, strict=True):
            champion.replace(checkpoint)
            with champion.lease() as served:
                assert served.wait() == "ready", served.failure
                embedding = served.embedding_of("ab" * 32, picture, Priority.CLICK)
                again = served.embedding_of("ab" * 32, picture, Priority.CLICK)
                assert again is embedding
                ((found,),) = served.predict(embedding, [CLICK])
                assert served.model_version == served.segmenter().model_version
                assert served.model_version.startswith(f"{version}+")
            if version == "tiny-2":
                (alone, *_) = model("sam2").predict(model("sam2").embed(picture()), CLICK)
                np.testing.assert_allclose(found.logits, alone.logits, atol=1e-4)
        assert champion.encode_counts.encoded == 3
    finally:
        champion.close()


def test_two_processes_share_embeddings_of_several_levels() -> None:
    ours = model("sam2")
    embedding = ours.embed(picture())
    key = EmbeddingKey("ab" * 32, ours.model_version, ours.preprocessing)
    with running_redis() as server:
        RedisEmbeddings(server.url, secret="hush").put(key, embedding)
        back = RedisEmbeddings(server.url, secret="hush").get(key)
    assert back is not None
    assert ours.is_ours(back)
    (one, *_), (other, *_) = (ours.predict(which, CLICK) for which in (embedding, back))
    np.testing.assert_array_equal(one.logits, other.logits)


def test_the_python_api_takes_a_folder(tmp_path: Path) -> None:
    loaded = sb.load_model(folder_of("sam2", tmp_path / "mine"), "cpu", "float32")
    embedding = loaded.embed(picture())
    assert len(loaded.predict(embedding, CLICK)) == 3
    assert list(loaded.generate(picture(), points_per_side=2, predicted_iou=0, stability=0))


def test_a_bulk_run(store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_BACKEND_MODEL_STORE", str(store.get("tiny-2").folder.parent))
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SAM_BACKEND_PRECISION", "float32")
    make_images(tmp_path / "images", 2)
    sb.generate_shards(
        tmp_path / "images",
        tmp_path / "run",
        model="tiny-2",
        device="cpu",
        points_per_side=3,
        predicted_iou=0,
        stability=0,
    )
    images = list(read_run(tmp_path / "run").images())
    assert len(images) == 2
    for image in images:
        assert image.masks
        assert image.features is not None
        assert image.features.shape == (32,), "the mean of the coarse level"


def test_retraining_of_another_family_is_refused_by_name(store: ModelStore) -> None:
    request = RetrainingRequest(project=1, parent="tiny-2")
    with pytest.raises(ModelStoreError, match="tiny-2 is of the family sam2, which cannot be re"):
        chosen_parent(request, store, None)


def test_a_true_size_model_answers(tmp_path: Path) -> None:
    """SAM 2.1 tiny from its authors' file: one encode and one click at 1024 pixels."""
    theirs, path = write_original("sam2", tmp_path / "sam2.1_hiera_tiny.pt")
    loaded = sb.load_model(path, "cpu", "float32")
    image = np.asarray(Image.fromarray(picture()).resize((300, 200)))
    embedding = loaded.embed(image)
    assert [level.shape for level in (embedding.features, *embedding.finer)] == [
        (256, 64, 64),
        (32, 256, 256),
        (64, 128, 128),
    ]
    assert embedding.n_bytes == 16 * 2**20
    found = loaded.predict(embedding, Prompt([(150, 100)]))
    points = torch.tensor([[[[150 * 1024 / 300, 100 * 1024 / 200]]]])
    labels = torch.ones((1, 1, 1), dtype=torch.int64)
    levels = [torch.tensor(level)[None] for level in (*embedding.finer, embedding.features)]
    with torch.inference_mode():
        answer = theirs(image_embeddings=levels, input_points=points, input_labels=labels)
    order = answer.iou_scores[0, 0].argsort(descending=True)
    for one, index in zip(found, order.tolist(), strict=True):
        plane = answer.pred_masks[0, 0, index].numpy()
        np.testing.assert_allclose(one.logits, plane, atol=1e-4 * np.abs(plane).max())
