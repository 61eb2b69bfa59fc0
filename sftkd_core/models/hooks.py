"""What the modules of any network give, seen by hooks while it runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from sftkd_core.system import InputError


@contextmanager
def outputs_of(parts: Mapping[str, nn.Module]) -> Iterator[list[tuple[str, Tensor]]]:
    """Collect what modules return while the context is open, in the order in which they run.

    parts  modules by the name that an error calls them by

    Yields the list of (name, output), one for each call. Raises ``InputError`` for a module that
    gives no tensor, and at the end for an output that a later operation has overwritten: what was
    collected would be another layer's.
    """
    found: list[tuple[str, Tensor]] = []
    versions: list[int] = []

    def listener(name: str):
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                raise InputError(
                    f"module {name!r} returns a {type(output).__name__}; tap one that returns a "
                    "tensor"
                )
            found.append((name, output))
            versions.append(_version(output))

        return hook

    handles = [part.register_forward_hook(listener(name)) for name, part in parts.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
    for (name, output), version in zip(found, versions, strict=True):
        if _version(output) != version:
            raise InputError(
                f"the output of module {name!r} is overwritten by what follows it, perhaps a ReLU "
                "with inplace=True; build that with inplace=False, or tap it in its place"
            )


def _version(tensor: Tensor) -> int:
    """How often a tensor has been written to; in inference mode torch does not count."""
    return 0 if tensor.is_inference() else tensor._version
