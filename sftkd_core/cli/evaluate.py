"""``evaluate``: the metrics of experiments on the test set.

It is measured for each network as the network was trained: with its pattern, noise and phase. The
zero-filled images of each such way have a row of their own.
"""

import argparse
from collections.abc import Iterator
from math import inf, isnan, nan
from pathlib import Path

import pandas as pd
import torch

from sftkd_core import experiments, metrics, system
from sftkd_core.book.setting import Setting
from sftkd_core.cli import check_packages, setting_of
from sftkd_core.cli.models import check_model, find_or_train
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.system import counted


def evaluate(options: argparse.Namespace) -> None:
    """Print the metrics of experiments on the test set; write them by slice and by volume."""
    setting = setting_of(options)
    output = None
    if options.output is not None:
        output = system.check_output(options.output, (".csv", ".parquet"))
        if output.suffix.lower() == ".parquet":
            check_packages(str(output), "pyarrow")
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
    lacking = [name for name, mean in next(iter(means.values())).items() if isnan(mean)]
    for name in lacking:
        size = f"{targets.shape[-2]} x {targets.shape[-1]} pixels"
        print(f"{name}: nan, for it needs {metrics.SMALLEST.get(name)} a side, not {size}")
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
