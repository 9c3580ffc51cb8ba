"""Whether torch.compile can work here."""

import torch

from sam_backend.errors import InvalidInputError


def check_compiler(device: torch.device) -> None:
    """Raises what a person can act on, before the first image would fail with a long trace.

    Raises:
        InvalidInputError: There is no C++ compiler, which torch.compile runs for every device.
    """
    from torch._inductor import cpp_builder, exc  # takes a second: not for those who never compile

    try:
        cpp_builder.get_cpp_compiler()
    except (exc.InvalidCxxCompiler, RuntimeError) as error:
        raise InvalidInputError(
            f"compiled needs a C++ compiler for {str(device)!r}, such as g++, and finds none: "
            "install one, name it in CXX, or switch compiled off"
        ) from error
