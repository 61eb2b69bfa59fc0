"""``prepare``: a dataset as you downloaded it becomes what the library trains on."""

import argparse
from pathlib import Path

from sftkd_core.data import prepared
from sftkd_core.data.layouts.kdmri import export_kdmri
from sftkd_core.data.prepare import prepare as prepare_dataset


def prepare(options: argparse.Namespace) -> None:
    """Turn a dataset as you downloaded it into slices that experiments train and test on."""
    output = Path(options.output).expanduser().absolute() if options.output else None
    prepare_dataset(
        options.name,
        options.folder,
        output=output,
        jobs=options.jobs,
        scaling=options.scaling,
        seed=options.seed,
        held_out=options.held_out,
        plane=options.plane,
    )
    if options.kdmri:
        place = output or prepared.place_of(options.name)
        export_kdmri(place, options.kdmri, acceleration=options.acceleration, seed=options.seed)
    data = output or options.name
    print(f"train on it with: python -m sftkd_core train student --data {data}")
