"""What a start need not wait for is not imported, and is all there for who asks."""

import subprocess
import sys

import pytest

from sam_backend.sam.reference import patient_package


def run(code: str) -> str:
    """What the code prints in a process of its own, which has imported nothing before."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "module",
    ["sam_backend.server.app", "sam_backend.jobs.handlers", "sam_backend.semi_automatic.runs"],
)
def test_neither_server_nor_worker_waits_for_what_it_may_never_need(module: str) -> None:
    slow = "torchvision torch._dynamo ray sklearn scipy.stats pandas matplotlib transformers"
    names = str({"torch", *slow.split()})
    assert run(f"import sys, {module}; print({names} & sys.modules.keys())") == "{'torch'}\n"


def test_who_asks_for_the_predictor_gets_it_and_the_same_networks() -> None:
    told = run(
        "from sam_backend.sam.reference import Sam\n"
        "import segment_anything\n"
        "from segment_anything import SamPredictor, modeling\n"
        "print(Sam is modeling.Sam, SamPredictor.__name__)\n"
        "print(hasattr(segment_anything, 'no'), segment_anything.modeling is modeling)\n"
    )
    assert told == "True SamPredictor\nFalse True\n"


def test_a_package_that_is_missing_or_there_already() -> None:
    assert patient_package("subprocess") is subprocess
    with pytest.raises(ModuleNotFoundError, match="'no_such_package'"):
        patient_package("no_such_package")
