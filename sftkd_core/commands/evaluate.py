"""``evaluate``: the metrics of experiments on the test set."""

import argparse
import io
from pathlib import Path

import pandas as pd
import torch

from sftkd_core import experiments, metrics, storage
from sftkd_core.commands import setting_of
from sftkd_core.commands.models import check_model, find_or_train
from sftkd_core.errors import InputError
from sftkd_core.settings import Setting


def evaluate(options: argparse.Namespace) -> None:
    """Print the metrics of experiments on the test set; write them by slice and by volume."""
    setting = setting_of(options)
    output = None if options.output is None else Path(options.output)
    if output is not None:
        _check_table(output)
    names = list(dict.fromkeys(["zero-filled", *(options.names or ["student"])]))
    for name in names[1:]:
        check_model(setting, name)  # a wrong name is noticed before anything is trained
    print(setting.describe())
    slices, volumes = [], []
    columns = list(metrics.METRICS)
    heading = f"{'':16}" + "".join(f"{column:>10}" for column in columns)
    lines = []
    for name in names:
        images = _images(setting, name)
        targets, subjects = setting.test_set.images, setting.test_set.subjects
        table = metrics.table(images, targets, subjects)
        means = table[columns].mean()
        lines.append(f"{name:16}" + "".join(f"{means[column]:10.4g}" for column in columns))
        slices.append(table.assign(method=name))
        if output is not None:
            volumes.append(metrics.by_volume(images, targets, subjects).assign(method=name))
    print("\n".join([heading, *lines]))
    if output is not None:
        by_volume = output.with_name(f"{output.stem}-volumes{output.suffix}")
        tables = {output: pd.concat(slices), by_volume: pd.concat(volumes)}
        payloads = {path: _payload(table, path) for path, table in tables.items()}
        for path, payload in payloads.items():
            storage.write_bytes(path, payload)
        print(f"slice by slice: {output}; volume by volume: {by_volume}")


def _images(setting: Setting, name: str) -> torch.Tensor:
    if name == "zero-filled":
        return setting.measurement.zero_filled
    return experiments.reconstruct(find_or_train(setting, name).model, setting.measurement)


def _check_table(path: Path) -> None:
    """Raise ``InputError`` unless a table can be written under this name."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"output {path} is not named .csv or .parquet; choose such a name")
    if path.is_dir():
        raise InputError(f"output {path} is a folder; name a file in it")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise InputError(
                f"{path} needs pyarrow, which is not installed; python -m pip install pyarrow"
            ) from None


def _payload(table: pd.DataFrame, path: Path) -> bytes:
    if path.suffix.lower() == ".csv":
        return table.to_csv(index=False).encode()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
