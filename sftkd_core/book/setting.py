"""What every chapter starts with: a profile, data, an acceleration, a seed, a device.

A ``Setting`` turns these five into the mask, the test set and the book's plan of experiments.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import isfinite, nan
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sftkd_core import experiments, metrics, models
from sftkd_core.book import parameters, plan, report
from sftkd_core.book.plan import ALIASES, CAST, METHOD_NAMES, PLAN
from sftkd_core.book.profiles import NOISE_FREE, PROFILES, Profile
from sftkd_core.consistency import Measurement
from sftkd_core.data import PHANTOMS, SHORT_NAMES, Dataset, Slices
from sftkd_core.data.formats import check_volume_name
from sftkd_core.experiments import Examples, Experiment, Result, Sampling, store
from sftkd_core.experiments.experiment import changed
from sftkd_core.experiments.fingerprint import seal
from sftkd_core.experiments.objectives import OBJECTIVES
from sftkd_core.system import InputError, pick_device

HEARTS = ("cardiac", "heart", "acdc")
ALL = 10**6  # slices of a subject, or subjects, at most
CAVEAT = "\n\n*At the `smoke` profile this only shows that everything runs.*"


@dataclass(frozen=True)
class Setting:
    """The five parameters that all chapters share, checked.

    profile       "smoke" (seconds), "quick" (minutes on two cores), "paper" (a GPU)
    data          "brain", "cardiac", the path of a NIfTI volume (then networks learn on the
                  synthetic brain and are tested on the volume), or a folder of NIfTI volumes;
                  a folder that is called as a data set needs a separator: "brain/", "./acdc"
    acceleration  lines of k-space over measured lines, >= 1
    seed          of masks, phantoms, initial weights and the order of the slices
    device        "auto", "cpu", "cuda", ...

    Raises ``InputError`` for anything else, and in a notebook that papermill gave a parameter
    which it does not have.
    """

    profile: str = "quick"
    data: str = "brain"
    acceleration: float = 4
    seed: int = 0
    device: str = "auto"

    def __post_init__(self):
        parameters.check()
        if self.profile not in PROFILES:
            raise InputError(
                f"unknown profile {self.profile!r}; choose one of {', '.join(PROFILES)}"
            )
        number = isinstance(self.acceleration, int | float) and not isinstance(
            self.acceleration, bool
        )
        if not number:
            raise InputError(f"acceleration is {self.acceleration!r}; pass a number >= 1")
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise InputError(f"seed is {self.seed!r}; pass a whole number >= 0")
        if self.seed >= 2**32:
            raise InputError(f"seed is {self.seed}; pass a whole number below 2 ** 32")
        if not isinstance(self.data, str) or not self.data:
            raise InputError(f'data is {self.data!r}; pass "brain", "cardiac" or a path')
        if not isinstance(self.device, str):
            raise InputError(f'device is {self.device!r}; pass "auto", "cpu" or "cuda"')
        # 4 and 4.0 are one experiment
        plain = float(self.acceleration)
        object.__setattr__(self, "acceleration", int(plain) if plain.is_integer() else plain)
        object.__setattr__(self, "data", _place(self.data))
        report.device(pick_device(self.device))
        Dataset(self.data, PROFILES[self.profile].size)  # a misspelt path is noticed now
        if self.is_volume:  # and what is no volume, before anything is trained
            check_volume_name(Path(self.data))
        self.sampling.mask(self.dataset.size or PROFILES[self.profile].size)

    @property
    def is_volume(self) -> bool:
        """Whether ``data`` is one NIfTI file: something to test on, nothing to train on."""
        return Dataset(self.data).is_volume

    @cached_property
    def dataset(self) -> Dataset:
        """What the networks learn from (and are tested on, unless ``data`` is one volume)."""
        profile = PROFILES[self.profile]
        name = "brain" if self.is_volume else self.data
        size = profile.cardiac_size if name in HEARTS else profile.size
        if profile.noise:
            name = NOISE_FREE.get(name, name)
        data = Dataset(name, size)
        if self.profile == "paper" and data.is_prepared:
            # all of it, and as it is where all slices have one square size
            return Dataset(name, data.own_size or size, ALL, ALL, ALL, ALL, self.data_seed)
        return self._subjects(name, size)

    @cached_property
    def elsewhere(self) -> Dataset:
        """The synthetic anatomy that ``dataset`` is not, of its size and number of subjects."""
        profile = PROFILES[self.profile]
        name = "brain" if self.dataset.name in HEARTS else "cardiac"
        name = NOISE_FREE[name] if profile.noise else name
        return self._subjects(name, self.dataset.size or profile.size)

    def _subjects(self, name: str, size: int) -> Dataset:
        """As many subjects and slices as the profile says."""
        p = PROFILES[self.profile]
        return Dataset(name, size, p.slices, p.train, p.validation, p.test, self.data_seed)

    @property
    def data_seed(self) -> int:
        """Of the subjects; of mask and noise too, where the profile has not one for all."""
        return PROFILES[self.profile].data_seed(self.seed)

    @cached_property
    def sampling(self) -> Sampling:
        """Which lines are measured, at any size."""
        profile = PROFILES[self.profile]
        seed = self.data_seed if profile.mask is None else profile.mask
        return Sampling(self.acceleration, seed, noise=profile.noise)

    @cached_property
    def mask(self) -> np.ndarray:
        """The mask of the test set: (h,) bool, un-shifted."""
        return self.sampling.mask(self.test_set.images.shape[-2])

    @cached_property
    def test_set(self) -> Slices:
        """Slices that no network has seen: (n, 1, h, w) in [0, 1], with their subjects."""
        if not self.is_volume:
            return self.dataset.load("test")
        profile = PROFILES[self.profile]
        # a real volume keeps its own size, and is the only subject: more slices of it
        volume = replace(self.dataset, name=self.data, size=None, slices=3 * profile.slices)
        return volume.load("test")

    @cached_property
    def measurement(self) -> Measurement:
        """The test set, measured."""
        return self.sampling.measure(self.test_set.images)

    @property
    def synthetic(self) -> bool:
        """Whether the test set was computed rather than scanned."""
        return self.test_set.synthetic

    @property
    def kind(self) -> str:
        """What a title or a sentence calls the test set: "synthetic" or "scanned"."""
        return "synthetic" if self.synthetic else "scanned"

    @property
    def caveat(self) -> str:
        """The last paragraph of a chapter's conclusions at the smoke profile; else nothing."""
        return CAVEAT if self.profile == "smoke" else ""

    @property
    def pictured(self) -> list[int]:
        """Four test slices to look at, from one end of the set to the other."""
        return [int(len(self.test_set.images) * share) for share in (0.06, 0.36, 0.66, 0.96)]

    @property
    def torch_device(self) -> torch.device:
        """Where networks run."""
        return pick_device(self.device)

    def examples(self, split: str, chosen: slice = slice(None)) -> Examples:
        """Slices of "train" or "validation" with their measurement, where networks run.

        chosen  of all slices of the split: ``slice(16)`` for the first sixteen
        """
        images = self.dataset.load(split).images[chosen]
        measurement = self.sampling.measure(images, split)
        return Examples(measurement.to(self.torch_device), images.to(self.torch_device))

    def grid(self, seeds: Sequence[int], accelerations: Sequence[float] = ()) -> list["Setting"]:
        """The same with other seeds and accelerations; its own are always among them.

        One acceleration after the other, its own and then as given; the seeds ascend.
        """
        rates = dict.fromkeys([self.acceleration, *accelerations])
        every = sorted({self.seed, *seeds})
        return [replace(self, acceleration=r, seed=s) for r in rates for s in every]

    def describe(self) -> str:
        """One honest sentence on training and test data."""
        if self.is_volume:
            images = self.test_set.images
            return (
                f"Tested on {len(images)} slices of {Path(self.data).name} "
                f"({images.shape[-2]} x {images.shape[-1]} pixels); trained on: "
                f"{self.dataset.describe()}. One subject: intervals know its slices only"
            )
        return self.dataset.describe()

    @property
    def names(self) -> list[str]:
        """The eight experiments of the spine: two teachers, four students, two controls."""
        return list(CAST)

    @cached_property
    def basis(self) -> plan.Basis:
        """What the experiments of the plan share: data, sampling, schedule, seed."""
        full = self.profile == "paper"
        schedule = PROFILES[self.profile].schedule_of(self.dataset.name in HEARTS)
        shared = (self.dataset, self.sampling, schedule, self.seed)
        return plan.Basis(*shared, self.elsewhere, full, apart=self.profile == "study")

    def experiment(self, name: str | Experiment) -> Experiment:
        """An experiment of the plan by name; one that is given already is returned as it is.

        Raises ``InputError`` for a name that the plan does not hold.
        """
        return name if isinstance(name, Experiment) else plan.experiment(self.basis, name)

    def distil(self, method: str, teacher: str = "teacher", **changes) -> Experiment:
        """D3C5 distilled from a teacher of the plan, see ``plan.Basis.distil``."""
        return self.basis.distil(method, teacher, **changes)

    @property
    def common(self) -> dict:
        """The fields that all experiments of the plan share."""
        return self.basis.common

    def run_all(self, names: Sequence[str], quiet: bool = False) -> dict[str, Result]:
        """The results of several experiments of the plan; see ``experiments.run_all``."""
        results = experiments.run_all([self.experiment(n) for n in names], self.device, quiet)
        return dict(zip(names, results, strict=True))

    def run(self, name: str, quiet: bool = False) -> Result:
        """The result of an experiment of the plan, remembered or trained now."""
        return experiments.run(self.experiment(name), self.device, quiet)

    def reconstruct(
        self,
        name: str | Experiment,
        measurement: Measurement | None = None,
    ) -> torch.Tensor:
        """Images (n, 1, h, w) by an experiment's network.

        name         of the plan, or an experiment; ``"zero-filled"`` needs no network
        measurement  default: the test set, measured as the network was trained
        """
        if name == "zero-filled":
            return (self.measurement if measurement is None else measurement).zero_filled
        experiment = self.experiment(name)
        if measurement is None:
            measurement = self.measured(experiment.sampling)
        model = experiments.run(experiment, self.device).model
        return experiments.reconstruct(model, measurement)

    def measured(self, sampling: Sampling) -> Measurement:
        """The test set, measured in another way."""
        if sampling == self.sampling:
            return self.measurement
        return sampling.measure(self.test_set.images)

    def evaluate(self, name: str | Experiment, sampling: Sampling | None = None) -> pd.DataFrame:
        """``metrics.table`` of the test set, remembered; see ``reconstruct`` for the names.

        sampling  how the test set is measured; default: as the network was trained
        """
        if sampling is None:
            zero_filled = name == "zero-filled"
            sampling = self.sampling if zero_filled else self.experiment(name).sampling

        def compute() -> pd.DataFrame:
            images = self.reconstruct(name, self.measured(sampling))
            return metrics.table(images, self.test_set.images, self.test_set.subjects)

        if not self.has(name, sampling):
            experiments.run(self.experiment(name), self.device)  # nothing is known of it
        given, words = self.deciding(name, sampling)
        table = store.remembered(given, compute, words)
        report.network(self, name if isinstance(name, str) else name.name, table)
        return table

    def has(self, name: str | Experiment, sampling: Sampling | None = None) -> bool:
        """Whether ``evaluate`` trains nothing: a network is there, or what was measured on it."""
        if name == "zero-filled":
            return True
        experiment = self.experiment(name)
        if experiments.exists(experiment):
            return True
        if store.record_alone(experiment.name, experiment.code) is None:
            return False
        given, words = self.deciding(experiment, sampling or experiment.sampling)
        return store.table(store.table_name(given, words)) is not None

    def deciding(
        self, name: str | Experiment, sampling: Sampling
    ) -> tuple[dict[str, torch.Tensor | str], str]:
        """What decides a table of ``evaluate``: tensors, and words for code and data.

        Phantoms are told by what they are made from: their last bits differ between processors.
        """
        given: dict[str, torch.Tensor | str] = {}
        structure, about = "", [changed(sampling)]
        # a table of functions is not followed by a seal
        roots = [metrics.table, *metrics.METRICS.values(), experiments.reconstruct, Sampling]
        if name != "zero-filled":
            experiment = self.experiment(name)
            given["network"] = _digest(experiment, self.device)
            roots += models.definitions(experiment.model)
            structure = models.structure(experiment.model)
        if self.dataset.synthetic and not self.is_volume:
            roots += self.dataset.roots
            about += [changed(self.dataset), self.dataset.fingerprint()]
        else:
            given["images"] = self.test_set.images
            about += self.test_set.subjects  # the same images may have other names
        return given, json.dumps([seal(tuple(roots), (structure,)), *about], sort_keys=True)


_KNOWN: dict[tuple[str, str], str] = {}  # of this process, by name and checksum


def _digest(experiment: Experiment, device: str) -> str:
    """Of the network that reconstructs: a page asks for the same tables many times."""
    entry = store.find(experiment.name, experiment.code)
    if (
        entry is None
        and (alone := store.record_alone(experiment.name, experiment.code)) is not None
    ):
        return alone["network"]
    if entry is None or entry[1]["code"] != experiment.code:
        return store.digest(experiments.run(experiment, device).model.state_dict())
    known = (experiment.name, entry[1]["sha256"])
    if known not in _KNOWN:
        _KNOWN[known] = store.digest(_of_the_part(experiment, entry[0]))
    return _KNOWN[known]


def _of_the_part(experiment: Experiment, stored: dict[str, torch.Tensor]) -> dict:
    """What ``Result.model.state_dict()`` holds, without the network: some are built slowly."""
    part = OBJECTIVES[experiment.objective].part
    found = {name: stored[f"{part}.{name}" if part else name] for name in _names(experiment.model)}
    return {name: v.float() if v.is_floating_point() else v for name, v in found.items()}


@cache
def _names(model: str) -> tuple[str, ...]:
    return tuple(models.build(model, 0).state_dict())


def numbers(value: str | float) -> list[int | float]:
    """The numbers of a parameter: of "0 1 2" three, of "0.3" or 3 one, of "" none.

    (papermill passes a single number as a number.) Raises ``InputError`` for anything else.
    """
    found = []
    for word in str(value).split():
        try:
            number = float(word)
        except ValueError:
            number = nan
        if not isfinite(number):
            raise InputError(f'{value!r} is no list of numbers; write it as in "0 1 2"')
        found.append(int(number) if number.is_integer() else number)
    return found


def _place(data: str) -> str:
    """The name of a data set as it is; one spelling of a path, which never is such a name."""
    names = (*PHANTOMS, *SHORT_NAMES)
    if data in names:
        return data
    try:
        path = str(Path(data).expanduser())
    except RuntimeError:
        raise InputError(
            f"data is {data!r}, and that home folder is not known; give the whole path"
        ) from None
    return os.path.join(os.curdir, path) if path in names else path


__all__ = ["ALIASES", "CAST", "METHOD_NAMES", "PLAN", "PROFILES", "Profile", "Setting", "numbers"]
