"""The process's own C library, for the few things that Python does not say or says slowly.

Only the GNU C library is asked: what others offer under the same names is different, or no faster than CPython.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    import ctypes
except ImportError:  # a Python that was built without libffi
    ctypes = None  # type: ignore[assignment]

__all__ = ["ctypes", "glibc"]

if TYPE_CHECKING:
    from ctypes import CDLL


def glibc(*, locked: bool) -> CDLL | None:
    """The GNU C library; ``None`` where there is another one, or no way to call it. ``locked``: its functions are
    called without giving the interpreter's lock away, so they must be short."""
    if ctypes is None:
        return None
    library = ctypes.PyDLL(None) if locked else ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
