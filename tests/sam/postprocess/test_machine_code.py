"""The kernel's machine code is kept where a folder can be written, and works where none can."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from sam_backend.sam.postprocess.machine_code import again_if_not_kept, compiled_and_kept

SOURCE = "def twice(number):\n    return 2 * number\n"


def twice_of(folder: Path) -> Callable[[int], int]:
    path = folder / "twice.py"
    path.write_text(SOURCE)
    spec = spec_from_file_location("twice", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.twice


def test_machine_code_is_kept(tmp_path: Path) -> None:
    assert compiled_and_kept(twice_of(tmp_path))(4) == 8
    assert list((tmp_path / "__pycache__").glob("twice.twice*.nbc"))


def test_no_folder_for_machine_code() -> None:
    names: dict[str, Callable[[int], int]] = {}
    exec(compile(SOURCE, "<typed in>", "exec"), names)
    assert compiled_and_kept(names["twice"])(4) == 8


def test_the_folder_for_machine_code_goes_away(tmp_path: Path) -> None:
    twice = compiled_and_kept(twice_of(tmp_path))
    folder = tmp_path / "__pycache__"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.symlink_to("nowhere")  # reading finds nothing kept, writing fails as on a full disk
    with pytest.raises(OSError, match="__pycache__"):
        twice(4)
    assert again_if_not_kept(twice, 4.5) == 9  # another type of number: compiled anew


def test_without_numba_the_plain_way_serves_and_import_is_light() -> None:
    code = """
import sys
import sam_backend.sam.postprocess as postprocess
assert "numba" not in sys.modules, "numba costs half a second: it is for the first mask"
sys.modules["numba"] = None  # as if it was not installed
import torch
frame = postprocess.Frame(4, 16, (16, 16), (9, 9))
print(postprocess.shapes(torch.ones(1, 4, 4), frame)[0].area_px)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.stdout == "81\n", ran.stderr
