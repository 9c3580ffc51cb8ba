"""Families of the transformers library answer as the library's own forward does."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sam_backend.errors import InvalidInputError, ModelStoreError, PromptError
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoints import load
from sam_backend.sam.embeddings import EmbeddingKey
from sam_backend.sam.embeddings.packing import pack, unpack
from sam_backend.sam.families import family_named
from sam_backend.sam.precision import Precision
from sam_backend.sam.types import Prompt
from tests.sam.library.networks import CONFIGS, FAMILIES_HERE, folder_of, network

SIZE = (45, 70)
NAMES = pytest.mark.parametrize("name", FAMILIES_HERE)
ORIGINAL = pytest.mark.parametrize("name", ["sam2", "sam_hq"])


def picture(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """Noise with some larger shapes in it."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    coarse = np.kron(small, np.ones((-(-size[0] // 5), -(-size[1] // 6), 1), np.uint8))
    noise = rng.integers(0, 30, (*size, 3), dtype=np.uint8)
    return (coarse[: size[0], : size[1]] // 2 + noise).astype(np.uint8)


@cache
def model(name: str) -> Any:
    return family_named(name).promptable(network(name), name, "", Precision.FLOAT32)


def prompts(side: int) -> dict[str, list[Prompt]]:
    """Kinds of prompts, several of each."""
    rng = np.random.default_rng(1)
    height, width = SIZE
    points = rng.uniform(0, 1, (11, 3, 2)) * (width, height)
    labels = rng.random((11, 3)) < 0.7
    boxes = [(x, y, x + 20, y + 15) for x, y in rng.uniform(0, 1, (11, 2)) * (40, 25)]
    masks = rng.normal(0, 8, (11, side, side)).astype(np.float32)
    return {
        "click": [Prompt(p[:1]) for p in points],
        "points": [Prompt(p, v) for p, v in zip(points, labels, strict=True)],
        "box": [Prompt(box=box) for box in boxes],
        "both": [Prompt(p, v, b) for p, v, b in zip(points, labels, boxes, strict=True)],
        "mask and points": [
            Prompt(p, v, mask_logits=m) for p, v, m in zip(points, labels, masks, strict=True)
        ],
        "mask and box": [Prompt(box=b, mask_logits=m) for b, m in zip(boxes, masks, strict=True)],
        "mask": [Prompt(mask_logits=m) for m in masks],
    }


def library_inputs(name: str, pixels: np.ndarray, one: Prompt) -> dict[str, Any]:
    """What the library's own processor makes of an image and a prompt."""
    import transformers as hf

    side = CONFIGS[name]["prompt_encoder_config"]["image_size"]
    if name == "sam_hq":
        images = hf.SamImageProcessor(
            size={"longest_edge": side}, pad_size={"height": side, "width": side}
        )
        processor: Any = hf.SamHQProcessor(images)
    elif name == "sam2":
        processor = hf.Sam2Processor(hf.Sam2ImageProcessor(size={"height": side, "width": side}))
    else:
        images = hf.Sam3ImageProcessor(size={"height": side, "width": side})
        processor = hf.Sam3TrackerProcessor(images)
    given: dict[str, Any] = {}
    if len(one.points):
        given["input_points"] = [[one.points.tolist()]]
        given["input_labels"] = [[one.labels.astype(int).tolist()]]
    if one.box is not None:
        given["input_boxes"] = [[one.box.tolist()]]
    made = processor(images=pixels, return_tensors="pt", **given)
    keep = ("pixel_values", "input_points", "input_labels", "input_boxes")
    inputs = {key: made[key] for key in keep if key in made}
    if "input_points" in inputs:
        inputs["input_points"] = inputs["input_points"].float()
    if "input_boxes" in inputs:
        inputs["input_boxes"] = inputs["input_boxes"].float()
    if one.mask_logits is not None:
        inputs["input_masks"] = torch.tensor(one.mask_logits)[None, None]
    return inputs


@NAMES
def test_pixels_are_the_librarys_within_rounding(name: str) -> None:
    for size in [SIZE, (300, 200), (9, 400), (128, 128)]:
        image = picture(size)
        ours = model(name)._input(model(name).prepare(image))
        theirs = library_inputs(name, image, Prompt([(1, 1)]))["pixel_values"][0]
        deviation = torch.tensor(model(name).deviation)[:, None, None]
        levels = ((ours - theirs) * deviation * 255).abs().max()
        assert levels < (1.01 if name == "sam_hq" else 1e-3), size


@NAMES
@pytest.mark.parametrize("multimask", [True, False])
def test_answers_are_those_of_the_librarys_forward(name: str, multimask: bool) -> None:
    ours, theirs, image = model(name), network(name), picture()
    embedding = ours.embed(image)
    pixels = ours._input(ours.prepare(image))[None]
    for kind, several in prompts(ours.mask_side).items():
        found = ours.predict_many(embedding, several, multimask)
        for one, candidates in list(zip(several, found, strict=True))[
            :: 1 if kind == "both" else 5
        ]:
            inputs = library_inputs(name, image, one) | {"pixel_values": pixels}
            with torch.no_grad():
                answer = theirs(**inputs, multimask_output=multimask)
            order = answer.iou_scores[0, 0].argsort(descending=True, stable=True)
            scores = answer.iou_scores[0, 0][order].numpy()
            logits = answer.pred_masks[0, 0][order].numpy()
            assert len(candidates) == (3 if multimask else 1)
            np.testing.assert_allclose(
                [c.predicted_iou for c in candidates], scores, atol=1e-4, err_msg=kind
            )
            scale = max(1.0, float(np.abs(logits).max()))
            for candidate, plane in zip(candidates, logits, strict=True):
                np.testing.assert_allclose(candidate.logits, plane, atol=1e-4 * scale, err_msg=kind)


@NAMES
def test_embeddings_are_the_librarys(name: str) -> None:
    ours, image = model(name), picture()
    embedding = ours.embed(image)
    found = network(name).get_image_embeddings(ours._input(ours.prepare(image))[None])
    levels = [found[0], found[1][0]] if name == "sam_hq" else [found[-1], *found[:-1]]
    for level, theirs in zip((embedding.features, *embedding.finer), levels, strict=True):
        np.testing.assert_allclose(level, theirs[0].numpy(), atol=1e-4)
        assert not level.flags.writeable
    assert embedding.n_bytes == sum(4 * level.numel() for level in levels)


@NAMES
def test_masks_are_those_of_the_librarys_post_processing(name: str) -> None:
    import transformers as hf

    ours, image = model(name), picture()
    (found,) = ours.predict_many(ours.embed(image), [Prompt([(30, 20)])])
    logits = torch.tensor(np.stack([one.logits for one in found]))[None]
    if name == "sam_hq":
        side = CONFIGS[name]["prompt_encoder_config"]["image_size"]
        sizes = [ours._resize.input_size(SIZE)]
        pad = {"height": side, "width": side}
        images = hf.SamImageProcessor(size={"longest_edge": side}, pad_size=pad)
        (masks,) = images.post_process_masks([logits], [SIZE], sizes, pad_size=pad)
    else:
        (masks,) = hf.Sam2ImageProcessor().post_process_masks(logits[None], [SIZE])
    for one, mask in zip(found, masks.reshape(3, *SIZE), strict=True):
        assert 0 < mask.sum() < mask.numel(), "a mask with a border"
        np.testing.assert_array_equal(one.mask, mask.numpy())


@NAMES
def test_a_lone_click_is_ambiguous(name: str) -> None:
    ours = model(name)
    embedding = ours.embed(picture())
    assert len(ours.predict(embedding, Prompt([(3, 4)]))) == 3
    assert len(ours.predict(embedding, Prompt([(3, 4), (9, 9)]))) == 1
    assert len(ours.predict(embedding, Prompt([(3, 4)]), limit=1)) == 1


@NAMES
def test_prompts_on_several_images_answer_as_on_each(name: str) -> None:
    ours = model(name)
    embeddings = [ours.embed(picture(seed=seed)) for seed in range(3)]
    asked = prompts(ours.mask_side)["mask and points"][:3]
    across = ours.predict_across(embeddings, asked)
    for embedding, prompt, found in zip(embeddings, asked, across, strict=True):
        (alone,) = ours.predict(embedding, prompt)
        np.testing.assert_allclose(found[0].logits, alone.logits, atol=1e-3)


@NAMES
def test_a_drawn_mask_lies_where_the_image_does(name: str) -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[:, :35] = True
    logits = model(name).mask_prompt(mask)
    side = model(name).mask_side
    assert logits.shape == (side, side)
    bottom = round(side * SIZE[0] / SIZE[1]) if name == "sam_hq" else side
    assert (logits[: bottom - 1, : side // 2 - 1] > 0).all()
    assert (logits[:, side // 2 + 1 :] < 0).all()
    assert (logits[bottom:] < 0).all()


@NAMES
def test_another_models_mask_prompt_is_refused(name: str) -> None:
    ours = model(name)
    wrong = Prompt(mask_logits=np.zeros((20, 20)))
    with pytest.raises(PromptError, match=r"\(20, 20\)"):
        ours.predict(ours.embed(picture()), wrong)


@NAMES
def test_threads_get_the_answers_of_one(name: str) -> None:
    ours = model(name)
    images = [picture(seed=seed) for seed in range(4)]

    def answers(image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        embedding = ours.embed(image)
        found = ours.predict(embedding, Prompt([(20, 20)]))
        return embedding.features, [one.logits for one in found]

    alone = [answers(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(answers, images * 2))
    for (a, logits), (b, others) in zip(alone * 2, together, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        for one, other in zip(logits, others, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)


@NAMES
def test_the_automatic_generator_finds_masks(name: str) -> None:
    ours, settings = (
        model(name),
        AutomaticSettings(
            points_per_side=4, predicted_iou=0.0, stability=0.0, crop_layers=0, min_area_px=0
        ),
    )
    records = list(generate(ours, picture(), settings))
    assert records
    assert {record.model_version for record in records} == {ours.model_version}


@NAMES
def test_an_embedding_survives_the_way_to_bytes(name: str) -> None:
    ours = model(name)
    embedding = ours.embed(picture())
    key = EmbeddingKey("ab" * 32, ours.model_version, ours.preprocessing)
    back = unpack(key, pack(key, embedding, b"secret"), b"secret")
    assert ours.is_ours(back)
    for level, again in zip(
        (embedding.features, *embedding.finer), (back.features, *back.finer), strict=True
    ):
        np.testing.assert_array_equal(level, again)
    for other in FAMILIES_HERE:
        assert model(other).is_ours(embedding) == (other == name)


@NAMES
def test_a_folder_loads_to_the_same_answers(name: str, tmp_path: Path) -> None:
    loaded = load(folder_of(name, tmp_path / "mine"))
    assert (loaded.family, loaded.version) == (name, "mine")
    ours = loaded.promptable()
    again, before = ours.embed(picture()), model(name).embed(picture())
    np.testing.assert_array_equal(again.features, before.features)
    (one,), (other,) = (
        who.predict(embedding, Prompt(box=(5, 5, 40, 30)))
        for who, embedding in ((ours, again), (model(name), before))
    )
    np.testing.assert_array_equal(one.logits, other.logits)
    with pytest.raises(ModelStoreError, match=f"the family {name}; only SAM 1"):
        loaded.sam  # noqa: B018


def original(name: str, config: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """A network of a published size, and its weights as the authors' files have them."""
    from sam_backend.sam.library.family import LibraryFamily

    family = family_named(name)
    assert isinstance(family, LibraryFamily)
    theirs = network(name, config=config)
    state = {}
    for library, weight in theirs.state_dict().items():
        names = family.adapter().original_names(library)
        parts = weight.split(1) if len(names) > 1 else [weight]
        state |= dict(zip(names, (part.clone() for part in parts), strict=True))
    return theirs, state


def write_original(name: str, path: Path) -> tuple[Any, Path]:
    """The smallest published size with random weights, wrapped as its authors save it."""
    theirs, state = original(name, {})
    if name == "sam2":
        state["memory_encoder.out_proj.weight"] = torch.zeros(3)
        state["obj_ptr_tpos_proj.bias"] = torch.zeros(3)
        state["maskmem_tpos_enc"] = torch.zeros(3)
        torch.save({"model": state}, path)
    else:
        torch.save({f"module.{key}": weight for key, weight in state.items()}, path)
    return theirs, path


@ORIGINAL
def test_the_authors_own_file_loads_to_the_same_weights(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """True size, without an encode: weights that are equal answer equally."""
    caplog.set_level("INFO")
    theirs, path = write_original(name, tmp_path / "raw.pt")
    loaded = load(path)
    assert (loaded.family, loaded.version) == (name, "raw")
    state = loaded.network.state_dict()
    assert set(state) == set(theirs.state_dict())
    for key, weight in theirs.state_dict().items():
        assert torch.equal(weight, state[key]), key
    assert ("3 weights that images do not need are left out" in caplog.text) == (name == "sam2")


def test_meta_names_its_weights_so() -> None:
    """Names that are in Meta's published files."""
    _, state = original("sam2", {})
    for key in (
        "image_encoder.trunk.patch_embed.proj.weight",
        "image_encoder.trunk.pos_embed_window",
        "image_encoder.trunk.blocks.11.norm2.bias",
        "image_encoder.trunk.blocks.0.mlp.layers.1.weight",
        "image_encoder.neck.convs.3.conv.weight",
        "no_mem_embed",
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "sam_prompt_encoder.point_embeddings.3.weight",
        "sam_prompt_encoder.not_a_point_embed.weight",
        "sam_prompt_encoder.mask_downscaling.6.bias",
        "sam_mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.weight",
        "sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight",
        "sam_mask_decoder.transformer.layers.0.norm4.weight",
        "sam_mask_decoder.transformer.final_attn_token_to_image.q_proj.bias",
        "sam_mask_decoder.transformer.norm_final_attn.weight",
        "sam_mask_decoder.output_upscaling.1.weight",
        "sam_mask_decoder.output_hypernetworks_mlps.3.layers.2.weight",
        "sam_mask_decoder.iou_prediction_head.layers.1.weight",
        "sam_mask_decoder.pred_obj_score_head.layers.0.weight",
        "sam_mask_decoder.obj_score_token.weight",
        "sam_mask_decoder.conv_s1.weight",
    ):
        assert key in state, key
    assert not [key for key in state if "layer_norm" in key or "proj_in" in key]


@pytest.mark.parametrize("size", [(96, 12), (96, 16), (112, 24), (144, 48)])
def test_each_published_size_of_sam2_is_told_from_its_weights(size: tuple[int, int]) -> None:
    from sam_backend.sam.library.sam2 import Sam2, size_config

    config = size_config(*size)
    with torch.device("meta"):
        names = Sam2.build(config).state_dict()
    state = {one: w for name, w in names.items() for one in Sam2.original_names(name)}
    assert Sam2.config_of(state) == config
    n_millions = sum(weight.numel() for weight in names.values()) / 1e6
    published = {(96, 12): 38.9, (96, 16): 46, (112, 24): 80.8, (144, 48): 224.4}
    assert published[size] - 14 < n_millions < published[size], "without the video memory"


@NAMES
def test_a_folder_with_other_weights_is_refused(name: str, tmp_path: Path) -> None:
    folder = folder_of(name, tmp_path / "mine")
    state = network(name).state_dict()
    state = {k: v for k, v in state.items() if k != "mask_decoder.iou_token.weight"}
    shared = [key for key in state if key.startswith("prompt_encoder.shared")]
    for key in shared:
        state.pop(key)
    save_file({"head.weight": torch.zeros(2)} | state, folder / "model.safetensors")
    with pytest.raises(
        ModelStoreError, match=r"mask_decoder.iou_token.weight is missing; head.weight is unknown$"
    ):
        load(folder)


def test_configurations_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = folder_of("sam2", tmp_path / "mine")
    for text, why in [
        ('{"model_type": "llama"}', "of the type 'llama', which is none of starter"),
        ('{"model_type": "sam2", "vision_config": {"model_type": "timm_wrapper"}}', "timm_wrapper"),
        ('{"model_type": "sam2", "vision_config": {"fpn_hidden_size": "x"}}', "is broken"),
        ('{"model_type": "sam2", "vision_config": 3}', "is broken"),
        ("[1]", "no JSON object but a list"),
        ("{", "is no JSON"),
    ]:
        (folder / "config.json").write_text(text)
        with pytest.raises(ModelStoreError, match=why):
            load(folder)


def test_whole_sam3_gives_its_tracker(tmp_path: Path) -> None:
    """A folder of the whole model has the tracker's weights under other names."""
    import json

    theirs = network("sam3_tracker")
    state = {}
    for key, weight in theirs.state_dict().items():
        new = f"tracker_model.{key}"
        if key.startswith("vision_encoder.backbone."):
            new = f"detector_model.{key}"
        elif key.startswith("vision_encoder.neck."):
            new = f"tracker_neck.{key.removeprefix('vision_encoder.neck.')}"
        state[new] = weight.clone()
    state["detector_model.text_encoder.x"] = torch.zeros(2)
    state["tracker_model.memory_attention.x"] = torch.zeros(2)
    config = {"model_type": "sam3_video", "tracker_config": CONFIGS["sam3_tracker"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(state, tmp_path / "model.safetensors")
    loaded = load(tmp_path)
    assert loaded.family == "sam3_tracker"
    for key, weight in theirs.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], weight), key


def test_sam3_as_meta_saves_it_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "sam3.pt"
    torch.save({"detector.backbone.vision_backbone.trunk.pos_embed": torch.zeros(1)}, path)
    with pytest.raises(ModelStoreError, match=r"sam3.pt: this is SAM 3 .* give the folder"):
        load(path)


@NAMES
def test_embeddings_in_bfloat16_hold_their_tier(name: str) -> None:
    """Within 1.5 %, as the precision's docstring says of all families."""
    half = family_named(name).promptable(network(name), name, "", Precision.BFLOAT16)
    assert half.model_version != model(name).model_version
    exact, close = model(name).embed(picture()), half.embed(picture())
    assert not np.array_equal(exact.features, close.features), "bfloat16 was computed in"
    for a, b in zip((exact.features, *exact.finer), (close.features, *close.finer), strict=True):
        assert b.dtype == np.float32
        assert np.linalg.norm(a - b) < 0.015 * np.linalg.norm(a)


def test_int8_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match=r"precision int8 .* not for mine"):
        family_named("sam2").promptable(network("sam2"), "mine", "", Precision.INT8)


def test_nothing_imports_the_library_but_what_needs_it() -> None:
    code = (
        "import sys, sam_backend, sam_backend.cli.main, sam_backend.sam.checkpoints as c;"
        "from sam_backend.store.models import packaged_store, ModelStore;"
        "m = c.load(ModelStore([packaged_store()]).best().folder).promptable(); m.warm_up();"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
