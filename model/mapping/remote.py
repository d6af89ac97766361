"""Functions of ``blockwork`` as Dask carries them to its workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


def remote(name: str) -> Callable[..., Any]:
    """A function of ``blockwork`` that travels by value: the plugin may have another package name here than there."""

    def call(*arguments: Any) -> Any:
        import importlib
        import socket

        try:
            module = importlib.import_module("landloom.model.mapping.blockwork")
        except ImportError as error:
            machine = socket.gethostname()  # no tr here: the plugin may be missing there
            return {"machine": machine, "error": f"The worker cannot import landloom ({error}): run there pip install "
                    "of the plugin's folder, and see that its Python has GDAL and numpy."}  # fmt: skip
        return getattr(module, name)(*arguments)

    call.__module__ = "__main__"  # so that Dask does not look for this module there
    return call


def beside(name: str) -> Callable[..., Awaitable[Any]]:
    """The same for ``Client.run``: in a thread, since the worker would give no sign of life while it imports."""
    work = remote(name)

    async def call(*arguments: Any) -> Any:
        import asyncio

        return await asyncio.to_thread(work, *arguments)

    call.__module__ = "__main__"
    return call
