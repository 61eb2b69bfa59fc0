"""The numbers that the paper reports (Gayathri et al., MIDL 2023), kept apart from ours.

They lie in ``paper.json``, where each table says what its rows hold, and what looks like a slip of
the paper. A test reads them again in the paper's text. PSNR in dB, SSIM in [0, 1]; "std" is
distillation from a teacher trained alone, "sft" from a student-friendly one. None where the paper
prints no value.
"""

import json
from importlib import resources


def _values(name: str) -> dict:
    return _in_tuples(_TABLES[name]["values"])


def _in_tuples(value):
    """JSON has no tuples: a row of numbers is one."""
    if isinstance(value, dict):
        return {key: _in_tuples(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value


_TABLES = json.loads((resources.files(__package__) / "paper.json").read_text(encoding="utf-8"))
TABLE_1: dict[
    tuple[str | None, float], dict[str, tuple]
] = {  # (dataset, acceleration) -> row -> (std PSNR, std SSIM, sft PSNR, sft SSIM)
    (data, int(rate)): rows
    for data, rates in _values("TABLE_1").items()
    for rate, rows in rates.items()
}
TABLE_2 = _values("TABLE_2")  # setup -> row -> (PSNR, its ±, SSIM, its ±)
TABLE_3 = _values("TABLE_3")  # row -> (std HFN, std VIF, sft HFN, sft VIF)
TABLE_4 = _values("TABLE_4")  # setup -> row -> (HFN, VIF, PSNR, SSIM)
TABLE_5 = _values("TABLE_5")  # column -> metric -> mean
TEXT_4_3 = _values("TEXT_4_3")  # row -> (PSNR, SSIM)
TABLE_6 = _values("TABLE_6")  # row -> (PSNR, its ±, SSIM, its ±)
TABLE_7 = _values("TABLE_7")  # network -> (PSNR 4x, SSIM 4x, PSNR 5x, SSIM 5x, parameters)
TABLE_8 = _values("TABLE_8")  # network -> parameters, % removed, ms, (PSNR, SSIM, HFN, VIF) of each
TEXT_8 = _values("TEXT_8")  # network -> % removed, as caption and text round it
TABLE_9 = _values("TABLE_9")  # row -> (std PSNR, its ±, std SSIM, its ±, the same for sft)

# Data of the book -> the data set of the paper that they are, or that a phantom stands in for.
DATASETS = {"brain": "brain", "mrbrains": "brain", "cardiac": "cardiac", "acdc": "cardiac"}


def dataset(data: str) -> str | None:
    """ "brain" or "cardiac": which of the paper's columns data belong to; None for other data."""
    return DATASETS.get(data)


def reported(data: str, acceleration: float) -> dict[str, tuple[float, float]]:
    """PSNR and SSIM of the paper by the book's names of experiments; {} where it has none.

    data: a phantom or a data set by its short name. "sft-kd-random" is known for the brain at 4x
    only (Table 5).
    """
    table = TABLE_1.get((dataset(data), acceleration))
    if table is None:
        return {}
    values = {
        "zero-filled": table["zero-filled"][:2],
        "teacher": table["teacher"][:2],
        "sft-teacher": table["teacher"][2:],
        "student": table["student"][:2],
        "kd": table["at"][:2],
        "sft-kd": table["at"][2:],
    }
    for method in ("fitnets", "sp", "fsp", "cc"):
        values |= {f"kd-{method}": table[method][:2], f"sft-kd-{method}": table[method][2:]}
    if (dataset(data), acceleration) == ("brain", 4):
        values["sft-kd-random"] = tuple(TABLE_5["sft-kd-random"][m] for m in ("psnr", "ssim"))
    return values
