"""The precision is known from its name and the device alone."""

import pytest
import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam.precision import Precision, choose_precision, has_fast_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        (Precision.FLOAT32, torch.float32),
        (Precision.BFLOAT16, torch.bfloat16),
        (Precision.INT8, torch.float32),
    ],
)
def test_what_is_not_a_linear_layer_is_computed_in_a_floating_type(
    precision: Precision, dtype: torch.dtype
) -> None:
    assert precision.dtype is dtype


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_a_name_is_taken_at_its_word(name: str) -> None:
    assert choose_precision(name, CPU) == name


def test_auto_takes_bfloat16_where_it_is_fast_and_never_int8() -> None:
    fast = has_fast_bfloat16(CPU)
    assert choose_precision("auto", CPU) == ("bfloat16" if fast else "float32")


@pytest.mark.parametrize("name", ["float16", "", "BFLOAT16"])
def test_unknown_names_are_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"auto, float32, bfloat16, int8, not {name!r}"):
        choose_precision(name, CPU)


def test_int8_is_refused_on_a_gpu() -> None:
    with pytest.raises(InvalidInputError, match="not on 'cuda:0'"):
        choose_precision("int8", torch.device("cuda:0"))
