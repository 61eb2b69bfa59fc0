"""The numbers that the paper reports (Gayathri et al., MIDL 2023), kept apart from ours.

A test reads them again in the paper's text. PSNR in dB, SSIM in [0, 1]; "std" is distillation from
a teacher trained alone, "sft" from a student-friendly one. None where the paper prints no value.
"""

# Table 1: (dataset, acceleration) -> row -> (std PSNR, std SSIM, sft PSNR, sft SSIM)
TABLE_1 = {
    ("brain", 4): {
        "zero-filled": (31.38, 0.6651, None, None),
        "teacher": (40.05, 0.9785, 40.23, 0.9799),
        "student": (39.49, 0.9759, None, None),
        "fitnets": (39.52, 0.9762, 40.08, 0.9790),
        "at": (39.76, 0.9769, 40.07, 0.9789),
        "cc": (39.64, 0.9762, 40.06, 0.9789),
        "fsp": (39.45, 0.9756, 40.01, 0.9786),
        "sp": (39.53, 0.9762, 39.93, 0.9782),
    },
    ("brain", 5): {
        "zero-filled": (29.93, 0.6304, None, None),
        "teacher": (39.11, 0.9715, 39.16, 0.9720),
        "student": (38.49, 0.9663, None, None),
        "fitnets": (38.70, 0.9681, 38.95, 0.9699),
        "at": (38.85, 0.9691, 38.92, 0.9699),
        "cc": (38.60, 0.9675, 38.86, 0.9691),
        "fsp": (38.32, 0.9643, 38.82, 0.9692),
        "sp": (38.46, 0.9661, 38.81, 0.9692),
    },
    ("cardiac", 4): {
        "zero-filled": (24.27, 0.6996, None, None),
        "teacher": (32.15, 0.9108, 32.26, 0.9126),
        "student": (31.68, 0.9013, None, None),
        "fitnets": (31.90, 0.9050, 31.95, 0.9067),
        "at": (31.95, 0.9060, 32.03, 0.9070),
        "cc": (31.83, 0.9049, 31.96, 0.9070),
        "fsp": (31.71, 0.9024, 31.91, 0.9060),
        "sp": (31.58, 0.9004, 31.91, 0.9060),
    },
    ("cardiac", 5): {
        "zero-filled": (23.82, 0.6742, None, None),
        "teacher": (31.25, 0.8964, 31.33, 0.8968),
        "student": (30.59, 0.8826, None, None),
        "fitnets": (30.59, 0.8811, 30.86, 0.8871),
        "at": (30.88, 0.8879, 30.93, 0.8884),
        "cc": (30.73, 0.8859, 30.94, 0.8889),
        "fsp": (30.51, 0.8817, 30.82, 0.8862),
        "sp": (30.73, 0.8860, 30.83, 0.8865),
    },
}

# Table 3, brain, 4x: row -> (std HFN, std VIF, sft HFN, sft VIF)
TABLE_3 = {
    "teacher": (0.2802, 0.9146, 0.2769, 0.9223),
    "student": (0.3266, 0.9037, None, None),
    "fitnets": (0.3204, 0.9012, 0.2816, 0.9166),
    "at": (0.3023, 0.9103, 0.2825, 0.9141),
    "cc": (0.3081, 0.9078, 0.2833, 0.9155),
    "fsp": (0.3155, 0.8989, 0.2848, 0.9169),
    "sp": (0.3187, 0.9023, 0.2915, 0.9170),
}

# Table 5, brain, 4x, attention transfer: column -> metric -> mean
TABLE_5 = {
    "teacher": {"hfn": 0.2802, "mse": 1.002e-04, "psnr": 40.05, "ssim": 0.9785, "vif": 0.9146},
    "student": {"hfn": 0.3266, "mse": 1.137e-04, "psnr": 39.49, "ssim": 0.9759, "vif": 0.9037},
    "kd": {"hfn": 0.3023, "mse": 1.07e-04, "psnr": 39.76, "ssim": 0.9769, "vif": 0.9103},
    "sft-kd-random": {
        "hfn": 0.2882, "mse": 1.015e-04, "psnr": 39.99, "ssim": 0.9785, "vif": 0.9140,
    },
    "sft-kd": {"hfn": 0.2825, "mse": 9.967e-05, "psnr": 40.07, "ssim": 0.9789, "vif": 0.9141},
}  # fmt: skip


def reported(dataset: str, acceleration: float) -> dict[str, tuple[float, float]]:
    """PSNR and SSIM of the paper by the book's names of experiments; {} where it has none.

    "sft-kd-random" is known for the brain at 4x only (Table 5).
    """
    table = TABLE_1.get((dataset, acceleration))
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
    if (dataset, acceleration) == ("brain", 4):
        values["sft-kd-random"] = (
            TABLE_5["sft-kd-random"]["psnr"],
            TABLE_5["sft-kd-random"]["ssim"],
        )
    return values
