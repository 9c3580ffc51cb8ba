"""How Numba compiles the kernel, and where its machine code stays."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Result = TypeVar("_Result")


def part(function: _Function) -> _Function:
    """Compiles as a part of the functions that call it.

    Inlined, because each call between compiled functions would count references to all arrays it
    hands over, which took half of the time.
    """
    return cast(_Function, numba.njit(error_model="numpy", forceinline=True)(function))


def compiled_and_kept(function: _Function) -> _Function:
    """Compiles at the first call, for this machine, and frees other threads while it runs.

    The machine code is kept for the next start where a folder can be written.
    """
    compile_with = partial(numba.njit, nogil=True, error_model="numpy")
    try:
        return cast(_Function, compile_with(cache=True)(function))
    except RuntimeError:  # Numba found no such folder
        return cast(_Function, compile_with()(function))


def again_if_not_kept(function: Callable[..., _Result], *arguments: object) -> _Result:
    """Calls a function that Numba may compile now, also where its machine code cannot be kept.

    A full disk, say, shows only after the compilation: the second call finds it done.
    """
    try:
        return function(*arguments)
    except OSError:
        return function(*arguments)
