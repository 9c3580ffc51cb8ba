"""A missing compiler is told before anything is compiled."""

import pytest
import torch
from torch._inductor import config

from sam_backend.errors import InvalidInputError
from sam_backend.sam.compiler import check_compiler


def test_a_missing_compiler_is_an_error_that_says_what_to_do() -> None:
    with (
        config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(InvalidInputError, match=r"C\+\+ compiler.*switch compiled off"),
    ):
        check_compiler(torch.device("cpu"))
