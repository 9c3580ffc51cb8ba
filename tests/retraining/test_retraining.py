"""From labelled images to a judged challenger, also over a stop and with worthless labels."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sam_backend.datasets.manifest import read_manifest, write_manifest
from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.jobs.handlers import handlers
from sam_backend.jobs.worker import Worker
from sam_backend.metrics.intervals import MIN_IMAGES
from sam_backend.progress import Progress
from sam_backend.quality.gold.adding import add_gold
from sam_backend.retraining.gate_evaluation import spread
from sam_backend.retraining.learned import learned_by
from sam_backend.retraining.request import JOB_KIND, RetrainingRequest
from sam_backend.retraining.run import RetrainingRun
from sam_backend.retraining.splits import MIN_VALIDATION, GroundTruth, divide
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.job_handling import IsStopped, Report
from sam_backend.store.jobs import Job, Jobs
from sam_backend.store.learned_images import LEARNED_NAME, NOTHING_LEARNED, read_learned
from sam_backend.store.models import open_store
from tests.bullseyes import bullseye_dataset
from tests.e2e.commands import command_inside
from tests.store.checkpoints import put

N_IMAGES = 14
STEPS = 10


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Manifests of good labels and of shuffled ones, on the same pictures."""
    folder = tmp_path_factory.mktemp("bullseyes")
    files = {}
    for name, shuffled in (("good", False), ("shuffled", True)):
        data = bullseye_dataset(folder / name, range(N_IMAGES), shuffled, shuffled)
        write_manifest(data, folder / f"{name}.jsonl")
        files[name] = folder / f"{name}.jsonl"
    gold = bullseye_dataset(folder / "gold", range(100, 106), whole=True)
    write_manifest(gold, folder / "gold.jsonl")
    return files | {"gold": folder / "gold.jsonl"}


class Bench:
    """A queue, a store and a worker in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder, model="starter-3", device="cpu", threads=1)
        self.store = open_store(self.settings)
        self.jobs = Jobs(open_database(self.settings))

    def order(self, data: Path, **more: object) -> Job:
        order = RetrainingRequest(data=str(data), parent="starter-3", steps=STEPS, **more)
        payload = order.model_dump(mode="json", exclude_none=True)
        return self.jobs.enqueue(JOB_KIND, payload, None, order.dedupe_key)

    def work(self) -> None:
        Worker(self.jobs, handlers(self.settings), "test:1").work(until_idle=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def outcome(bench: Bench, job: Job) -> Mapping[str, Any]:
    ended = bench.jobs.get(job.id)
    assert ended.state == "done", ended.reason
    assert ended.result is not None
    return ended.result


@pytest.fixture(scope="module")
def unbroken(
    manifests: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, Mapping[str, Any]]:
    """A retraining that nothing disturbed, and its outcome."""
    bench = Bench(tmp_path_factory.mktemp("unbroken"))
    bench.store.promote("starter-3", "the test's beginning", "test")
    job = bench.order(manifests["good"])
    bench.work()
    return bench, outcome(bench, job)


def test_a_better_challenger_becomes_champion(unbroken: tuple[Bench, Mapping[str, Any]]) -> None:
    bench, result = unbroken
    assert result["promoted"], result["reasons"]
    champion = bench.store.champion()
    assert champion.version == result["version"] == "starter-3-r1"
    card = champion.card
    assert (card.parent, card.challenger, card.family) == ("starter-3", True, "starter_lite")
    assert card.data_digest is not None
    assert card.gate["promote"] is True
    one_click = card.gate["comparisons"][0]
    assert one_click["figure"] == "1-click mIoU"
    assert one_click["challenger"] > one_click["champion"] + 0.2
    assert card.run["images"] + card.run["gate_images"] == N_IMAGES - MIN_VALIDATION
    names = {path.name for path in champion.folder.iterdir()}
    assert {"weights.safetensors", "card.json", "gate.json", "metrics.jsonl"} <= names
    assert {"curves.png", "before_after.png"} <= names
    assert bench.store.rollback("too bold", "test").version == "starter-3"


def test_a_challenger_of_shuffled_labels_is_refused(
    bench: Bench, manifests: dict[str, Path]
) -> None:
    """The gate's gold masks are good ones: shuffled ones could not tell."""
    job = bench.order(manifests["shuffled"], gold=str(manifests["gold"]))
    before = bench.store.champion().version
    bench.work()
    result = outcome(bench, job)
    assert not result["promoted"]
    assert result["reasons"][0].startswith("Kept the champion: ")
    verdicts = {one["figure"]: one["verdict"] for one in result["comparisons"]}
    assert "worse" in verdicts.values()
    assert verdicts["1-click mIoU"] != "better", "predicted IoUs may be, whatever is learned"
    assert bench.store.champion().version == before
    kept = bench.store.get(result["version"])
    assert kept.card.run["gate_is_gold"] is True
    assert kept.card.gate["promote"] is False


def interrupting(bench: Bench, stage: str) -> Worker:
    """A worker that leaves in the middle of a stage."""
    real = handlers(bench.settings)[JOB_KIND]

    def handler(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        def watching(state: Progress) -> None:
            report(state)
            if state.stage == stage and state.done >= 2:
                worker.leave()

        return real(job, watching, is_stopped)

    worker = Worker(bench.jobs, {JOB_KIND: handler}, "test:1")
    return worker


def test_a_run_that_is_stopped_twice_ends_the_same(
    bench: Bench, manifests: dict[str, Path], unbroken: tuple[Bench, Mapping[str, Any]]
) -> None:
    bench.store.promote("starter-3", "the test's beginning", "test")
    job = bench.order(manifests["good"])
    for stage in ("embedding", "training", "judging challenger"):
        interrupting(bench, stage).work(until_idle=True)
        assert bench.jobs.get(job.id).state == "queued", stage
        assert not [entry for entry in bench.store.list() if entry.card.challenger]
        if stage == "embedding":  # the next start is under another torch: it begins anew
            (config,) = bench.settings.data_dir.glob("runs/*/training/config.json")
            config.write_text(json.dumps(json.loads(config.read_text()) | {"torch": "1.0"}))
    bench.work()
    result = outcome(bench, job)
    other, its = unbroken
    assert result["reasons"] == its["reasons"]
    ours, theirs = bench.store.get(result["version"]), other.store.get(its["version"])
    assert ours.card.sha256 == theirs.card.sha256, "the same weights, bit for bit"


def test_a_challenger_that_is_in_the_store_already_is_not_trained_again(
    unbroken: tuple[Bench, Mapping[str, Any]],
) -> None:
    """As after a kill between the store and the queue."""
    bench, result = unbroken
    job = bench.jobs.list()[0]
    stages: list[str] = []
    again = handlers(bench.settings)[JOB_KIND](
        job, lambda state: stages.append(state.stage), lambda: False
    )
    assert again["version"] == result["version"]
    assert stages == []


def test_what_was_promoted_and_taken_back_is_not_promoted_again(
    unbroken: tuple[Bench, Mapping[str, Any]],
) -> None:
    """Killed after the promotion, and started again after somebody's rollback."""
    bench, result = unbroken
    while bench.store.champion().version == result["version"]:
        bench.store.rollback("too bold", "test")
    job = bench.jobs.list()[0]
    again = handlers(bench.settings)[JOB_KIND](job, lambda state: None, lambda: False)
    assert again["promoted"]
    assert bench.store.champion().version == "starter-3"


def test_a_run_leaves_its_records_only(unbroken: tuple[Bench, Mapping[str, Any]]) -> None:
    bench, _ = unbroken
    (run,) = (bench.settings.data_dir / "runs").iterdir()
    left = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert left == {
        ".lock",
        "parent.txt",
        "manifest.jsonl",
        "learned_from.txt",
        "gate.json",
        "before_after.png",
        "training/config.json",
        "training/metrics.jsonl",
        "training/curves.png",
    }


def test_a_server_of_one_family_gets_what_beat_that_familys_champion(
    unbroken: tuple[Bench, Mapping[str, Any]],
) -> None:
    bench, trained = unbroken
    (bench.settings.data_dir / "model_store" / "champion.json").unlink()
    put(bench.settings.data_dir / "model_store", "big-1", "vit_b")
    bench.store.promote("big-1", "for others", "test")
    job = bench.jobs.list()[0]
    for model, promoted in (("starter-3", False), ("starter_lite", True)):
        settings = bench.settings.model_copy(update={"model": model})
        result = handlers(settings)[JOB_KIND](job, lambda state: None, lambda: False)
        assert result["promoted"] is promoted, model
        served = trained["version"] if promoted else "starter-3"
        assert bench.store.to_serve(model).version == served


def test_a_champion_that_came_meanwhile_stays(
    unbroken: tuple[Bench, Mapping[str, Any]],
) -> None:
    bench, _ = unbroken
    (bench.settings.data_dir / "model_store" / "champion.json").unlink()  # not promoted yet
    bench.store.add(bench.store.get("starter-3").weights_path, "newcomer", "starter_lite")
    bench.store.promote("newcomer", "somebody's choice", "test")
    job = bench.jobs.list()[0]
    result = handlers(bench.settings)[JOB_KIND](job, lambda state: None, lambda: False)
    assert not result["promoted"]
    assert result["reasons"][-1] == "not promoted: the champion is newcomer by now, not starter-3"
    assert bench.store.champion().version == "newcomer"


@pytest.mark.parametrize(
    ("model", "named", "parent"),
    [
        (None, None, "big-1"),
        ("starter_lite", None, "starter-3"),
        ("synthetic", None, "synthetic"),
        ("starter_lite", "synthetic", "synthetic"),
    ],
)
def test_what_is_served_is_the_parent(
    tmp_path: Path, model: str | None, named: str | None, parent: str
) -> None:
    settings = Settings(data_dir=tmp_path, model=model)
    put(tmp_path / "model_store", "big-1", "vit_b")
    put(tmp_path / "model_store", "synthetic", "starter", learned_from={"images": 0})
    write_manifest(bullseye_dataset(tmp_path / "few", range(2)), tmp_path / "few.jsonl")
    order = RetrainingRequest(data=str(tmp_path / "few.jsonl"), parent=named)
    store = open_store(settings)
    run = RetrainingRun(order, tmp_path, settings, store, lambda state: None, lambda: False)
    with pytest.raises(InvalidInputError, match="masks on 5 images"):
        run.run()
    assert (tmp_path / "parent.txt").read_text() == f"{parent}\n"


def test_too_few_images_are_refused_with_the_number_needed(bench: Bench, tmp_path: Path) -> None:
    write_manifest(bullseye_dataset(tmp_path / "few", range(6)), tmp_path / "few.jsonl")
    job = bench.order(tmp_path / "few.jsonl")
    bench.work()
    assert bench.jobs.get(job.id).reason == (
        "a retraining needs masks on 5 images to learn from and 5 others to judge on, not 1 and 5"
    )


def test_too_few_images_are_told_with_what_was_left_out(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path / "few", range(2))
    data.images[1].path.unlink()
    write_manifest(data, tmp_path / "few.jsonl")
    order = RetrainingRequest(data=str(tmp_path / "few.jsonl"))
    settings = Settings(data_dir=tmp_path)
    run = RetrainingRun(
        order, tmp_path, settings, open_store(settings), lambda state: None, lambda: False
    )
    name = data.images[1].path.name
    with pytest.raises(InvalidInputError, match=rf"Left out of the data: 1 x missing.*{name}"):
        run.run()


def test_a_data_set_whose_name_is_no_utf8_is_learned_from(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"Daten \xfc")
    odd.mkdir()
    write_manifest(bullseye_dataset(odd, range(3)), odd / "few.jsonl")
    ended = command_inside(tmp_path, "train", "--data", str(odd / "few.jsonl"), "--detach")
    assert ended.returncode == 0, ended.stderr
    settings = Settings(data_dir=tmp_path)
    job = Jobs(open_database(settings)).get(int(ended.stdout))
    run = RetrainingRun(
        RetrainingRequest.parse(dict(job.payload)),
        tmp_path,
        settings,
        open_store(settings),
        lambda state: None,
        lambda: False,
    )
    with pytest.raises(InvalidInputError, match="masks on 5 images"):
        run.run()


def test_stored_gold_judges_unless_a_data_set_is_named(bench: Bench, tmp_path: Path) -> None:
    gold = bullseye_dataset(tmp_path / "gold", range(100, 106), whole=True)
    add_gold(bench.settings, open_database(bench.settings), gold, "the test")
    write_manifest(bullseye_dataset(tmp_path / "few", range(2)), tmp_path / "few.jsonl")
    job = bench.order(tmp_path / "few.jsonl")
    bench.work()
    reason = bench.jobs.get(job.id).reason
    assert reason is not None
    assert reason.endswith("to learn from and 5 gold to judge on, not 2 and 6")


def test_the_parts_share_no_image(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path, range(30))
    splits = divide(data)
    sets = [{i.digest for i in part} for part in (splits.train, splits.validation, splits.gate)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 30
    assert len(splits.gate) >= MIN_IMAGES
    gold = Dataset("gold", data.images[:6])
    splits = divide(data, GroundTruth(named=gold))
    assert {i.digest for i in splits.gate} == {i.digest for i in gold}
    assert not {i.digest for i in splits.gate} & {i.digest for i in splits.train}


def marked(image: LabelledImage) -> LabelledImage:
    first, *others = image.masks
    return replace(image, masks=(replace(first, is_gold=True), *others))


def test_gold_masks_of_the_data_itself_judge(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path, range(20))
    images = data.images
    gold = replace(data, images=(*map(marked, images[:7]), *images[7:]))
    splits = divide(gold)
    assert splits.is_gold
    assert [(image.digest, len(image.masks)) for image in splits.gate] == [
        (image.digest, 1) for image in images[:7]
    ]
    learned = {image.digest for image in (*splits.train, *splits.validation)}
    assert learned == {image.digest for image in images[7:]}


def digests(*splits: Dataset) -> set[str]:
    return {image.digest for part in splits for image in part}


def test_ground_truth_is_never_learned_from_however_little_there_is(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path, range(20))
    few = replace(data, images=(*map(marked, data.images[:4]), *data.images[4:]))
    splits = divide(few)
    assert not splits.is_gold
    assert digests(splits.gate) > {image.digest for image in data.images[:4]}
    assert len(splits.gate) >= MIN_IMAGES
    assert digests(splits.train, splits.validation) == digests(data) - digests(splits.gate)
    stored = GroundTruth(reserved={image.digest for image in data.images[:4]})
    for one in (data, few):  # gold that is excluded at the moment
        splits = divide(one, stored)
        assert not digests(splits.train, splits.validation, splits.gate) & set(stored.reserved)
    elsewhere = bullseye_dataset(tmp_path / "gold", range(100, 104), whole=True)
    splits = divide(data, GroundTruth(stored=elsewhere))  # too little to judge, and not of the data
    assert digests(splits.train, splits.validation, splits.gate) == digests(data)
    # somebody names others to judge on
    splits = divide(few, GroundTruth(named=Dataset("named", data.images[10:15])))
    assert digests(splits.gate) == {image.digest for image in data.images[10:15]}
    assert digests(splits.train, splits.validation) == {
        image.digest for image in (*data.images[4:10], *data.images[15:])
    }
    splits = divide(replace(few, images=few.images[:10]))  # as few as will do
    assert (len(splits.gate), len(splits.train) + len(splits.validation)) == (5, 5)
    enough = replace(data, images=(*map(marked, data.images[:5]), *data.images[5:]))
    assert divide(enough).is_gold
    nearly_all = replace(data, images=(*map(marked, data.images[:17]), *data.images[17:]))
    with pytest.raises(InvalidInputError, match=r"not 3 and 17; 17 of the images are ground truth"):
        divide(nearly_all)


def test_what_an_ancestor_has_learned_from_does_not_judge(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path, range(30))
    first = divide(data)
    learned = NOTHING_LEARNED.and_images(digests(first.train, first.validation))
    again = divide(data, learned=learned)
    assert digests(again.gate) == digests(first.gate)
    assert digests(again.train, again.validation) == digests(first.train, first.validation)
    few = replace(data, images=data.images[:10])
    first = divide(few)
    learned = NOTHING_LEARNED.and_images(digests(first.train, first.validation))
    assert digests(divide(few, learned=learned).gate) == digests(first.gate)
    # all its held-out images were learned from meanwhile: others that are clean take their place
    more = bullseye_dataset(tmp_path, range(60))
    learned = NOTHING_LEARNED.and_images(digests(data))
    splits = divide(more, learned=learned)
    assert len(splits.gate) >= MIN_IMAGES
    assert not digests(splits.gate) & digests(data)
    with pytest.raises(InvalidInputError, match=r"too few clean images.* learned from 30 others"):
        divide(data, learned=learned)


def test_ground_truth_that_was_learned_from_before_it_was_marked_does_not_judge(
    tmp_path: Path,
) -> None:
    data = bullseye_dataset(tmp_path, range(40))
    images = data.images
    learned = NOTHING_LEARNED.and_images(image.digest for image in images[:10])
    later = replace(data, images=(*map(marked, images[5:18]), *images[:5], *images[18:]))
    splits = divide(later, learned=learned)
    assert splits.is_gold
    assert digests(splits.gate) == {image.digest for image in images[10:18]}
    assert splits.left_out == 5
    assert not digests(splits.train, splits.validation) & {image.digest for image in images[5:18]}
    # gold of our own, and somebody's own data set
    for truth in (
        GroundTruth(stored=Dataset("gold", images[:18])),
        GroundTruth(named=Dataset("named", images[:18])),
    ):
        assert digests(divide(data, truth, learned).gate) == {i.digest for i in images[10:18]}
    named = GroundTruth(named=Dataset("named", images[:13]))
    with pytest.raises(InvalidInputError, match="5 gold to judge on, not 27 and 3: too few clean"):
        divide(data, named, learned)
    twice = GroundTruth(named=Dataset("named", images[10:13] * 2))  # an image is one witness
    with pytest.raises(InvalidInputError, match="5 gold to judge on, not 37 and 3"):
        divide(data, twice)


def test_a_version_knows_what_it_learned_from(
    unbroken: tuple[Bench, Mapping[str, Any]], manifests: dict[str, Path], tmp_path: Path
) -> None:
    bench, result = unbroken
    entry = bench.store.get(result["version"])
    splits = divide(read_manifest(manifests["good"]))
    learned = read_learned(entry)
    assert learned is not None
    before = read_learned(bench.store.get("starter-3"))
    assert before is not None
    ours = {digest[:16] for digest in digests(splits.train, splits.validation)}
    assert learned.prefixes == before.prefixes | ours
    assert learned.unrecorded == before.unrecorded
    assert not any(digest in learned for digest in digests(splits.gate))
    told = entry.card.learned_from
    assert told is not None
    assert told.images == len(learned.prefixes) == len(before.prefixes) + N_IMAGES - MIN_IMAGES
    runs = bench.settings.data_dir / "runs"
    assert learned_by(entry.version, bench.store, runs) == learned

    # gold that is stored later: these images have no say over what comes of this version
    bench = Bench(tmp_path)
    shutil.copytree(entry.folder, tmp_path / "model_store" / entry.version)
    later = replace(splits.train, images=splits.train.images[:7])
    add_gold(bench.settings, open_database(bench.settings), later, "the test")
    write_manifest(Dataset("rest", splits.train.images), tmp_path / "rest.jsonl")
    order = RetrainingRequest(data=str(tmp_path / "rest.jsonl"), parent=entry.version)
    job = bench.jobs.enqueue(JOB_KIND, order.model_dump(mode="json", exclude_none=True), None, "x")
    bench.work()
    assert "too few clean images" in str(bench.jobs.get(job.id).reason)

    # what is retrained from it has learned from both
    more = bullseye_dataset(tmp_path / "more", range(200, 210))
    write_manifest(more, tmp_path / "more.jsonl")
    order = RetrainingRequest(data=str(tmp_path / "more.jsonl"), parent=entry.version, steps=1)
    job = bench.jobs.enqueue(JOB_KIND, order.model_dump(mode="json", exclude_none=True), None, "y")
    bench.work()
    both = read_learned(bench.store.get(str(outcome(bench, job)["version"])))
    assert both is not None
    assert len(both.prefixes - learned.prefixes) == 5
    assert both.prefixes > learned.prefixes

    # a list that somebody has changed
    (tmp_path / "model_store" / entry.version / LEARNED_NAME).write_text("0123456789abcdef\n")
    with pytest.raises(ModelStoreError, match="changed or damaged"):
        learned_by(entry.version, bench.store, runs)


def test_what_a_version_of_an_earlier_release_learned_from(
    unbroken: tuple[Bench, Mapping[str, Any]], tmp_path: Path
) -> None:
    """Its run's folder tells; if that is gone, nobody knows, and it must not be guessed."""
    bench, result = unbroken
    entry = bench.store.get(result["version"])
    recorded = read_learned(entry)
    assert recorded is not None
    folder = tmp_path / "model_store" / entry.version
    shutil.copytree(entry.folder, folder)
    card = json.loads((folder / "card.json").read_text())
    del card["learned_from"]
    (folder / "card.json").write_text(json.dumps(card))
    (folder / LEARNED_NAME).unlink()
    store, runs = open_store(Settings(data_dir=tmp_path)), bench.settings.data_dir / "runs"
    assert learned_by(entry.version, store, runs) == recorded

    card["run"]["gate_is_gold"] = True  # which images were gold then?
    (folder / "card.json").write_text(json.dumps(card))
    of_starter = learned_by("starter-3", store, runs)
    of_all = learned_by(entry.version, store, runs)
    assert len(of_all.prefixes - of_starter.prefixes) == N_IMAGES
    with pytest.raises(InvalidInputError, match=r"starter-3-r1 learned from is not known: .*gone"):
        learned_by(entry.version, store, tmp_path / "runs")
    put(tmp_path / "model_store", "starter-3-r9", challenger=True, parent="starter-3-r8")
    with pytest.raises(InvalidInputError, match="starter-3-r9 learned from is not known"):
        learned_by("starter-3-r9", store, runs)


def test_what_checkpoints_from_elsewhere_learned_from_is_said_as_far_as_it_is_known(
    tmp_path: Path,
) -> None:
    store = open_store(Settings(data_dir=tmp_path))
    put(tmp_path / "model_store", "theirs", training_data="a million photos", parent="starter-3")
    starter, theirs = (learned_by(one, store, tmp_path) for one in ("starter-3", "theirs"))
    assert len(starter.prefixes) == store.get("starter-3").card.learned_from.images > 1000
    assert starter.unrecorded == ()
    assert theirs.prefixes == starter.prefixes
    assert theirs.unrecorded == ("theirs: a million photos",)


def test_what_was_retrained_from_a_starter_of_an_earlier_release_can_be_retrained_on(
    tmp_path: Path,
) -> None:
    store = open_store(Settings(data_dir=tmp_path))
    put(tmp_path / "model_store", "mine", training_data="our photos", parent="starter-2")
    put(tmp_path / "model_store", "free", training_data="our photos", parent="starter-2-synthetic")
    assert "BSDS500" in learned_by("mine", store, tmp_path).unrecorded[0]
    assert learned_by("free", store, tmp_path).unrecorded == ("free: our photos",)
    (tmp_path / "7").mkdir()
    image = {"digest": "ab" * 32}
    (tmp_path / "7/manifest.jsonl").write_text("{}\n" + json.dumps(image))
    run = {"id": "7", "gate_is_gold": True}
    put(tmp_path / "model_store", "starter-2-r1", challenger=True, parent="starter-2", run=run)
    learned = learned_by("starter-2-r1", store, tmp_path)
    assert image["digest"] in learned
    assert "BSDS500" in learned.unrecorded[0]


def test_tasks_of_one_image_are_one_image(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path, range(20))
    twice = [
        replace(image, name=f"task {number} {image.name}", masks=(image.masks[number],))
        for number in (0, 1)
        for image in data
    ]
    splits, wanted = divide(replace(data, images=tuple(twice))), divide(data)
    for part, other in ((splits.train, wanted.train), (splits.gate, wanted.gate)):
        assert part.digest == other.digest
        assert len(part) == len(other)


def test_masks_are_spread_over_all_images(tmp_path: Path) -> None:
    data = bullseye_dataset(tmp_path, range(5))
    assert spread(data, 3, seed=0).n_masks == len(spread(data, 3, seed=0)) == 3
    assert spread(data, 9, seed=0).n_masks == 5
    few = spread(data, 5, seed=0)
    assert [len(image.masks) for image in few] == [1] * 5
    assert spread(data, 10, seed=0) is data
