"""A network that is not ours, tapped by the names of its modules: any ``nn.Module``, as it is."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from sftkd_core.consistency import Measurement
from sftkd_core.distillation.products import as_real
from sftkd_core.models.hooks import outputs_of
from sftkd_core.models.staged import Staged
from sftkd_core.system import InputError

Names = str | Sequence[str]


class Tapped(nn.Module):
    """A network with taps on some of its modules; see ``tap_modules``.

    It shares the network's weights, and does for every method what ``Staged`` does: each name
    stands for a stage.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[Names],
        inputs: Callable[[Measurement], Any] | None = None,
    ):
        super().__init__()
        _check_network(network)
        self.network, self.inputs = network, inputs
        self.names = [(name,) if isinstance(name, str) else tuple(name) for name in names]
        modules = dict(network.named_modules(remove_duplicate=False))
        self._parts = {name: _found(name, modules) for group in self.names for name in group}
        if not self._parts:
            raise InputError(f"no modules are named; name at least one of {_some(modules)}")

    def forward(self, given: Any) -> Tensor:
        """What the network returns for its own input, or for a ``Measurement``."""
        if isinstance(given, Measurement):
            given = given.zero_filled if self.inputs is None else self.inputs(given)
        output = self.network(given)
        if not isinstance(output, Tensor):
            raise InputError(
                f"{type(self.network).__name__} returns a {type(output).__name__}; wrap it in a "
                "module that returns the tensor of images"
            )
        return output

    def features(self, given: Any) -> tuple[Tensor, list[list[Tensor]]]:
        """The output, and the layers of each name as a stage: ``features[stage][layer]``.

        Complex layers come as twice as many real channels. Raises ``InputError`` for a module that
        was not called or more than once, and for one that gives no (b, c, h, w).
        """
        with outputs_of(self._parts) as found:
            output = self(given)
        layers = {name: self._layer(name, found) for name in self._parts}
        stages = [[layers[name] for name in group] for group in self.names]
        # the last of a stage of ours is its image, and a flow ends before that: FSP's pairs
        return output, [[*stage, stage[-1]] if len(stage) > 1 else stage for stage in stages]

    def _layer(self, name: str, found: list[tuple[str, Tensor]]) -> Tensor:
        outputs = [output for called, output in found if called == name]
        if not outputs and _is_compiled(self.network):
            raise InputError(
                f"module {name!r} is not heard: the network was compiled, and ran, before it was "
                "tapped; tap it first, and compile the pair"
            )
        if len(outputs) != 1:
            raise InputError(
                f"module {name!r} was called {len(outputs)} times in one pass of the network; tap "
                "a module that is called once"
            )
        if outputs[0].ndim != 4:
            raise InputError(
                f"module {name!r} gives {tuple(outputs[0].shape)}; tap one that gives (b, c, h, w)"
            )
        return as_real(outputs[0])

    def states(self, given: Any) -> list[Tensor]:
        """The outputs of the named modules and, last, of the network, for methods of images."""
        output, stages = self.features(given)
        return [*(stage[-1] for stage in stages), output]


Network = Staged | Tapped  # what every method can tap


def tap_modules(
    network: nn.Module,
    names: Sequence[Names],
    inputs: Callable[[Measurement], Any] | None = None,
) -> Tapped:
    """A network of any kind with taps on named modules, for every method, without subclassing.

    network  called as ``network(x)``, returns images (b, c, h, w); it is not changed
    names    as ``network.named_modules()`` has them, in the order to compare them in; each stands
             for a stage, and a method chooses among them as among ours (FitNets the middle one,
             FT and CC the last). A pair ``("first", "last")`` gives FSP two ends of a flow
    inputs   ``Measurement`` -> what the network takes; default: the zero-filled image

    Raises ``InputError`` for what is no module, and for names that it does not have.

    >>> network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
    >>> image, stages = tap_modules(network, ["0"]).features(torch.rand(2, 1, 6, 6))
    >>> [tuple(layer.shape) for stage in stages for layer in stage]
    [(2, 8, 6, 6)]
    """
    return Tapped(network, names, inputs)


def _check_network(network: object) -> None:
    if not isinstance(network, nn.Module):
        raise InputError(f"the network is a {type(network).__name__}; pass a torch module")
    if isinstance(network, torch.jit.ScriptModule):
        raise InputError(
            f"the network is a {type(network).__name__} of TorchScript, which cannot be tapped; "
            "pass the module that it was made from"
        )


def _is_compiled(network: nn.Module) -> bool:
    """Whether ``torch.compile`` has been here, around a module or in it."""
    return any(
        hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None
        for part in network.modules()
    )


def _found(name: str, modules: dict[str, nn.Module]) -> nn.Module:
    if name and name in modules:
        return modules[name]
    close = get_close_matches(str(name), filter(None, modules), 3, 0.5)
    raise InputError(
        f"the network has no module {name!r}; choose one of {', '.join(close) or _some(modules)}"
    )


def _some(modules: dict[str, nn.Module], count: int = 12) -> str:
    names = [name for name in modules if name]
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")
