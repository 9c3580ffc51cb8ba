"""A project lives through all three stages in a real Label Studio; eleven minutes on two cores.

    python examples/three_stages.py --out three-stages [--label-studio-env .venv-label-studio]

What is told on the way are the commands that anybody would type. At the end the dashboard is asked
for its figures, and each is compared with what this script has counted itself; `report.html` in
`--out` has the plots. Exit code 1: they differ.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from simulated_annotator import Annotator, Drawn, iou
from story_report import Known, compare, differs, write_report
from target_pictures import SIZE, Masks, draw_targets, png

from sam_backend.cli.process_setup import backend_process
from sam_backend.datasets.manifest import write_manifest
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.demo.local_server import LocalLabelStudio, ensure_label_studio_env
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.templates import template
from sam_backend.labelstudio.regions import codec
from sam_backend.masks.rle import encode
from sam_backend.program import PROGRAM

Json = dict[str, Any]

N_GOLD, N_BEFORE, N_AFTER, N_FIRST, N_PREFILLED, N_BULK = 6, 10, 34, 12, 60, 40
SETTINGS = {
    "SAM_BACKEND_RETRAIN_STEPS": "60",
    "SAM_BACKEND_RETRAIN_EVERY": "100000",  # only when this script asks
    "SAM_BACKEND_PREFILL": json.dumps(
        {
            "parameters": {"points_per_side": 12},
            "nesting": "parts",
            "accept_predicted_iou": 0.75,
            "accept_stability": 0.7,
            "review_predicted_iou": 0.7,
            "review_stability": 0.6,
        }
    ),
}
NOT_LABELLED = {
    "conjunction": "and",
    "items": [
        {
            "filter": "filter:tasks:total_annotations",
            "operator": "equal",
            "type": "Number",
            "value": 0,
        }
    ],
}
PRECISION = "0.6"
"""Of accepted masks: two dozen witnesses prove no more."""


class Story:
    """The project, and what happens to it.

    Args:
        out: Folder of everything.
        studio: The running Label Studio.
        backend: Address of the running backend.
    """

    def __init__(self, out: Path, studio: LocalLabelStudio, backend: str) -> None:
        self._out, self._studio, self._backend = out, studio, backend
        self._environment = (
            os.environ
            | SETTINGS
            | {
                "SAM_BACKEND_DATA_DIR": str(out / "data"),
                "LABEL_STUDIO_URL": studio.url,
                "LABEL_STUDIO_API_KEY": studio.account.token,
            }
        )
        self._projects = Projects(studio.url, studio.account.token)
        config = template("brush")
        self.project = self._projects.create("Three stages", config)
        row = self._projects.connect_backend(self.project, backend, "SAM")
        http = httpx.Client(base_url=studio.url, headers=studio.auth_headers, timeout=120)
        self.anna = Annotator(http, row, LabelConfig.parse(config))
        self.known = Known()
        self._truth: dict[str, Masks] = {}
        self._gold: set[str] = set()

    def live(self) -> None:
        """All three stages."""
        self._accuracy()
        self._coverage()
        self._scale()

    def _prepare_gold(self, seeds: range) -> None:
        say("Gold: pictures whose masks are trusted, planted among the others.")
        images = []
        folder = self._out / f"gold-{seeds.start}"
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            name, body, masks = self._picture(seed)
            (folder / name).write_bytes(body)
            labelled = tuple(LabelledMask(encode(one), "Object", "truth") for one in masks)
            digest = hashlib.sha256(body).hexdigest()
            self._gold.add(digest)
            images.append(LabelledImage(name, folder / name, digest, SIZE, labelled))
        write_manifest(Dataset("gold", tuple(images)), folder / "gold.jsonl")
        self._run("gold", "add", "--data", str(folder / "gold.jsonl"))
        self._run("gold", "plant", *self._here, "--per-hundred", "100")

    def _accuracy(self) -> None:
        say("Stage 1, accuracy: Anna clicks every object; the model does not know what she wants.")
        self._run("stage", "begin", *self._here)
        self._upload(range(N_BEFORE))
        self._prepare_gold(range(1000, 1000 + N_GOLD))
        self._click_all("1")
        say("The model learns from it, and has to pass the gate before it is served.")
        self._train()
        self._upload(range(100, 100 + N_AFTER))
        self._click_all("1")
        self._run("gold", "score", *self._here)
        self._run("stage", "status", *self._here)
        self._run("stage", "advance", *self._here)

    def _coverage(self) -> None:
        say("Stage 2, coverage: tasks come prefilled, Anna completes them.")
        self._prefill_and_complete(range(200, 200 + N_FIRST))
        say("The model learns from the masks that it helped to make.")
        self._train()
        self._prepare_gold(range(1100, 1100 + N_GOLD))
        self._prefill_and_complete(range(400, 400 + N_PREFILLED))
        self._run("gold", "score", *self._here)
        self._run("prefill", "report", *self._here)
        say("What Anna did tells what the model's scores are worth.")
        told = ("--no-gold", "--precision", PRECISION, "--out", str(self._out / "calibration"))
        self._run("quality", "calibrate", *self._here, *told)
        self._run("stage", "status", *self._here)
        self._run("stage", "advance", *self._here)

    def _prefill_and_complete(self, seeds: range) -> None:
        self._upload(seeds)
        self._run("preannotate", *self._here, "--filter", json.dumps(NOT_LABELLED))
        self.known.shown += sum(
            len(one["result"]) for task in self._open_tasks() for one in task["predictions"]
        )
        self._complete_all("2")

    def _scale(self) -> None:
        say("Stage 3, scale: a folder becomes masks, and a sample says what they are worth.")
        folder, run = self._out / "folder", str(self._out / "run")
        folder.mkdir(exist_ok=True)
        for seed in range(300, 300 + N_BULK):
            name, body, _ = self._picture(seed)
            (folder / name).write_bytes(body)
        bars = ("points_per_side=12", "predicted_iou=0.8", "stability=0.7")
        shapes = ("box_nms=0.5", "max_image_share=0.3")
        options = [part for one in (*bars, *shapes) for part in ("--set", one)]
        self._run("generate", str(folder), "--out", run, *options)
        claim = ("--prove", "0.75@0.75", "--max-defects", "0.2", "--upload")
        self._run("review", "sample", run, *self._here, *claim)
        self._complete_all("3")
        while (verdict := self._run("review", "report", run, verdicts=(0, 1, 3))) == 3:
            say("The sample decides nothing yet: it grows as the report says.")
            size = self._asked(run)
            self._run("review", "sample", run, *self._here, "--size", size, "--upload")
            self._complete_all("3")
        self.known.accepted += verdict == 0
        self._run("import", run, *self._here, "--upload")
        self._run("stage", "status", *self._here, "--measure")
        self._run("stage", "log", *self._here)
        self._run("stage", "plot", *self._here, "--out", str(self._out / "stages.png"))

    @property
    def _here(self) -> tuple[str, str]:
        return "--project", str(self.project)

    def _picture(self, seed: int) -> tuple[str, bytes, Masks]:
        image, masks = draw_targets(seed)
        body = png(image)
        self._truth[hashlib.sha256(body).hexdigest()] = masks
        return f"target-{seed:04}.png", body, masks

    def _upload(self, seeds: range) -> None:
        files = {name: body for name, body, _ in map(self._picture, seeds)}
        self._projects.upload(self.project, files)

    def _click_all(self, stage: str) -> None:
        begun, clicks = time.monotonic(), []
        for task in self._open_tasks():
            wanted = self._wanted(task)
            drawn = [self.anna.click_until_good(task["id"], one) for one in wanted]
            self._submit(stage, task, drawn, wanted)
            clicks += [one.clicks for one in drawn]
        by_hand = clicks.count(0)
        say(
            f"  {len(clicks)} masks, {by_hand} of them by hand, in "
            f"{time.monotonic() - begun:.0f} s; {self._pace(stage)}"
        )

    def _complete_all(self, stage: str) -> None:
        for task in self._open_tasks():
            if task["predictions"]:
                prediction = max(task["predictions"], key=lambda one: one["id"])
                wanted = self._wanted(task)
                drawn = self.anna.complete(task["id"], prediction["result"], wanted)
                self._submit(stage, task, drawn, wanted, prediction["id"])
        say(f"  {self._pace(stage)}")

    def _submit(
        self,
        stage: str,
        task: Json,
        drawn: Sequence[Drawn],
        wanted: Masks,
        prediction: int | None = None,
    ) -> None:
        self.anna.submit(task["id"], drawn, prediction)
        self.known.submitted(stage, drawn)
        if self._digest(task) in self._gold:
            found = [codec.decode(one.region) for one in drawn]
            self.known.gold += [max(iou(one, mask) for one in found) for mask in wanted]

    def _open_tasks(self) -> list[Json]:
        return [task for task in self.anna.tasks(self.project) if not task["annotations"]]

    def _wanted(self, task: Json) -> Masks:
        """What Anna wants on a picture; she knows a planted one by looking at it."""
        return self._truth[self._digest(task)]

    def _digest(self, task: Json) -> str:
        return hashlib.sha256(self.anna.image(task["data"]["image"])).hexdigest()

    def _pace(self, stage: str) -> str:
        masks = self.known.masks[stage]
        return f"{self.known.seconds[stage] / masks:.1f} s a mask in stage {stage} so far"

    def _train(self) -> None:
        """A retraining; the gate may say that the champion stays, which is no failure."""
        if self._run("train", *self._here, verdicts=(0, 1)) == 0:
            self.known.promoted += 1
            self._wait_for_model()

    def _asked(self, run: str) -> str:
        """How large the newest report wants the sample of a run to be."""
        reports = Path(run, "reviews").glob("*/report.json")
        told = json.loads(max(reports, key=lambda one: one.stat().st_mtime).read_text())
        return str(told["images_sampled"] + told["clean_images_that_would_settle_it"])

    def _wait_for_model(self) -> None:
        history = self._out / "data" / "model_store" / "champion.json"
        promoted = json.loads(history.read_text())["history"][-1]["version"]
        while not self._served().startswith(promoted):
            time.sleep(0.2)

    def _served(self) -> str:
        return str(httpx.get(f"{self._backend}/ready").json()["model_version"])

    def _run(self, *arguments: str, verdicts: Sequence[int] = (0,)) -> int:
        """Run a command, print what it says, return its exit code; another one ends the story."""
        print(f"\n$ sam-backend {shlex.join(arguments)}", flush=True)
        ended = subprocess.run(
            [*PROGRAM, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode not in verdicts:
            sys.exit(f"{ended.stdout}{ended.stderr}")
        print(ended.stdout, end="", flush=True)
        return ended.returncode


def say(text: str) -> None:
    """A line of the story."""
    print(f"\n{text}" if not text.startswith(" ") else text, flush=True)


@contextmanager
def running(out: Path, program: Path) -> Iterator[tuple[LocalLabelStudio, str]]:
    """Label Studio and our backend, and its address."""
    data = out / "data"
    data.mkdir(parents=True, exist_ok=True)
    backend = backend_process(data, SETTINGS | {"SAM_BACKEND_DATA_DIR": str(data)})
    try:
        backend.start()
        with LocalLabelStudio(program, out / "label-studio") as studio:
            backend.wait_until_healthy()
            yield studio, backend.origin
    finally:
        backend.stop()


def main() -> None:
    """Runs it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--label-studio-env", type=Path, default=Path(".venv-label-studio"))
    options = parser.parse_args()
    out = options.out.absolute()
    if out.exists():
        sys.exit(f"{out} is there already: the story begins with nothing")
    begun = time.monotonic()
    say("Label Studio and the backend start (the first time takes some minutes).")
    program = ensure_label_studio_env(options.label_studio_env.absolute())
    with running(out, program) as (studio, backend):
        story = Story(out, studio, backend)
        story.live()
        address = f"{backend}/dashboard/figures?project={story.project}"
        time.sleep(4)  # a board may be three seconds old
        board = httpx.get(address, timeout=60).json()["board"]
        rows = compare(board, story.known)
        (out / "board.json").write_text(json.dumps(board, indent=1))
        say("The dashboard, and what this script knows to be true:")
        for name, told, known in rows:
            mark = "DIFFERS" if differs(told, known) else ""
            print(
                f"  {name:36} {told if told is None else round(told, 4)!s:>10} {known:10.4g} {mark}"
            )
        say(f"Report: {write_report(out, board, rows)}, after {time.monotonic() - begun:.0f} s.")
    if any(differs(told, known) for _, told, known in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
