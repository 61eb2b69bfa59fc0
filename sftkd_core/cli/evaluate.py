"""``evaluate``: the metrics of experiments on the test set, or of two files that exist.

It is measured for each network as the network was trained: with its pattern, noise and phase. The
zero-filled images of each such way have a row of their own.
"""

import argparse
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path

import pandas as pd
import torch

from sftkd_core import experiments, metrics, system
from sftkd_core.book.setting import Setting
from sftkd_core.cli import check_packages, compare, setting_of
from sftkd_core.cli.models import check_model, find_or_train
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.system import InputError, counted


def evaluate(options: argparse.Namespace) -> None:
    """Print the metrics of experiments on the test set, or of an image and its target."""
    output = None
    if options.output is not None:
        output = system.check_output(options.output, (".csv", ".parquet"))
        if output.suffix.lower() == ".parquet":
            check_packages(str(output), "pyarrow")
    if compare.are_files(options.names):
        table = compare.compare(options.names, options)
        if output is not None:
            system.write_bytes(output, _payload(table, output))
            print(f"written: {output}")
        return
    for name in ("data_range", "dataset", "volume", "plane", "nan_as_zero"):
        if getattr(options, name) not in (None, "auto", False):
            word = f"--{name.replace('_', '-')}"
            raise InputError(f"{word} is for two files, an image and its target; leave it out")
    setting = setting_of(options)
    names = list(dict.fromkeys(options.names or ["student"]))
    names = [name for name in names if name != "zero-filled"]  # they are there anyway
    for name in names:
        check_model(setting, name)  # a wrong name is noticed before anything is trained
    print(setting.describe())
    slices, volumes, means = [], [], {}
    columns = list(metrics.METRICS)
    targets, subjects = setting.test_set.images, setting.test_set.subjects
    for name, images in _methods(setting, names):
        table = metrics.table(images, targets, subjects)
        finite = table[columns].replace([inf, -inf], nan)
        means[name] = finite.mean()
        equal = int((table["psnr"] == inf).sum())
        if equal:
            print(f"{name}: {counted(equal, 'slice')} without any error left out of the mean PSNR")
        slices.append(table.assign(method=name))
        if output is not None:
            volumes.append(metrics.by_volume(images, targets, subjects).assign(method=name))
    # what is undefined lies in the targets, and so is it for all methods alike
    size = f"{targets.shape[-2]} x {targets.shape[-1]} pixels"
    for name, count in slices[0][columns].isna().sum().items():
        smallest = metrics.SMALLEST.get(str(name), 0)
        if smallest > min(targets.shape[-2:]):
            print(f"{name}: nan, for it needs {smallest} a side, not {size}")
        elif count:
            print(f"{name}: {counted(int(count), 'flat slice')} left out of its mean")
    width = max(16, *(len(name) + 1 for name in means))
    print(" " * width + "".join(f"{column:>10}" for column in columns))
    for name, mean in means.items():
        print(f"{name:{width}}" + "".join(f"{mean[column]:10.4g}" for column in columns))
    if output is not None:
        by_volume = output.with_name(f"{output.stem}-volumes{output.suffix}")
        tables = {output: pd.concat(slices), by_volume: pd.concat(volumes)}
        payloads = {path: _payload(table, path) for path, table in tables.items()}
        for path, payload in payloads.items():
            system.write_bytes(path, payload)
        print(f"slice by slice: {output}; volume by volume: {by_volume}")


def _methods(setting: Setting, names: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Each network's images, and before them the zero-filled ones of what it is given."""
    measured = {setting.sampling: setting.measurement}
    yield "zero-filled", setting.measurement.zero_filled
    for name in names:
        trained = find_or_train(setting, name)
        if trained.sampling not in measured:
            measured[trained.sampling] = setting.measured(trained.sampling)
            zero_filled = measured[trained.sampling].zero_filled
            yield f"zero-filled ({_peculiar(trained.sampling)})", zero_filled
        yield name, experiments.reconstruct(trained.model, measured[trained.sampling])


def _peculiar(sampling: Sampling) -> str:
    """What is not as in the setting's sampling, in words."""
    found = [] if sampling.pattern == "lines" else [sampling.pattern]
    found += [f"{k} {getattr(sampling, k):g}" for k in ("noise", "phase") if getattr(sampling, k)]
    return ", ".join(found)


def _payload(table: pd.DataFrame, path: Path) -> bytes:
    if path.suffix.lower() == ".csv":
        return table.to_csv(index=False).encode()
    return table.to_parquet(index=False)
