"""The numbers that the paper reports (Gayathri et al., MIDL 2023), kept apart from ours.

A test reads them again in the paper's text. PSNR in dB, SSIM in [0, 1]; "std" is distillation from
a teacher trained alone, "sft" from a student-friendly one. None where the paper prints no value.
"""

# Table 1: (dataset, acceleration) -> row -> (std PSNR, std SSIM, sft PSNR, sft SSIM)
TABLE_1: dict[tuple[str | None, float], dict[str, tuple]] = {
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

# Table 2, brain, 4x, attention transfer: setup -> row -> (PSNR, its ±, SSIM, its ±). "feature" is
# SFT on feature maps (Park et al.), "image" the paper's own. The released code's ± is twice the
# standard deviation over volumes.
TABLE_2 = {
    "feature": {
        "teacher": (34.06, 0.7114, 0.9291, 0.007151),
        "sft-teacher": (34.06, 0.6263, 0.9296, 0.005212),
        "student": (33.48, 0.4628, 0.9199, 0.0051),
        "kd": (32.50, 0.4323, 0.9156, 0.006479),
        "sft-kd": (33.50, 0.4232, 0.9205, 0.005292),
    },
    "image": {
        "teacher": (40.05, 2.023, 0.9785, 0.00655),
        "sft-teacher": (40.23, 2.081, 0.9799, 0.00636),
        "student": (39.49, 1.778, 0.9759, 0.005949),
        "kd": (39.76, 1.899, 0.9769, 0.006172),
        "sft-kd": (40.07, 1.983, 0.9789, 0.0062),
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

# Table 4, as Table 2: setup -> row -> (HFN, VIF, PSNR, SSIM). Three entries look like slips:
# - the feature setup's SFT teacher repeats HFN and VIF of the image setup's (0.2769, 0.9223), at
#   6 dB less;
# - the feature setup's student has its VIF, 0.6994, in the place of its SSIM (Table 2: 0.9199);
# - HFN and VIF of the image setup's SFT-KD are those of FitNets in Table 3, not of attention
#   transfer (0.2825, 0.9141), which its PSNR and SSIM belong to.
# In the feature setup bold marks SFT-KD, though the plain student has the lower (better) HFN.
TABLE_4 = {
    "feature": {
        "teacher": (0.4947, 0.7379, 34.06, 0.9291),
        "sft-teacher": (0.2769, 0.9223, 34.06, 0.9296),
        "student": (0.5316, 0.6994, 33.48, 0.6994),
        "kd": (0.5534, 0.6850, 32.50, 0.9156),
        "sft-kd": (0.5380, 0.7043, 33.50, 0.9205),
    },
    "image": {
        "teacher": (0.2802, 0.9146, 40.05, 0.9785),
        "sft-teacher": (0.2769, 0.9223, 40.23, 0.9799),
        "student": (0.3266, 0.9037, 39.49, 0.9759),
        "kd": (0.3023, 0.9103, 39.76, 0.9769),
        "sft-kd": (0.2816, 0.9166, 40.07, 0.9789),
    },
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

# Section 4.3 gives other values for the random start than Table 5 (39.99, 0.9785): PSNR and SSIM
# that Table 1 has for flow (FSP).
TEXT_4_3 = {"sft-kd-random": (40.01, 0.9786)}

# Table 6, brain, 4x, attention transfer, teacher DC-UNet: row -> (PSNR, its ±, SSIM, its ±). The
# student is a D3C5 as elsewhere, with 39.47, 0.9758 instead of 39.49, 0.9759. Bold marks the SFT
# teacher's SSIM, which is the lower of the two.
TABLE_6 = {
    "teacher": (40.11, 2.588, 0.9777, 0.008232),
    "sft-teacher": (40.18, 2.692, 0.9775, 0.009105),
    "student": (39.47, 1.823, 0.9758, 0.006268),
    "kd": (39.77, 1.899, 0.9774, 0.006272),
    "sft-kd": (39.89, 1.997, 0.978, 0.006585),
}

# Table 7, cardiac: network -> (PSNR 4x, SSIM 4x, PSNR 5x, SSIM 5x, parameters). "KD-MRI" and
# "SFT-KD-Recon" are D3C5. The text says that SFT-KD-Recon outperforms DC-CNN; the table does not.
# MAC-ReconNet as its authors released it has 565,760 parameters; 3,348,227 are those of a U-Net.
TABLE_7 = {
    "DC-CNN": (32.15, 0.9108, 31.25, 0.8964, 141_765),
    "DC-RDN": (31.65, 0.9015, 30.65, 0.8844, 141_765),
    "MAC-ReconNet": (32.21, 0.9114, 31.12, 0.8943, 141_765),
    "DAGAN": (28.52, 0.8410, 28.02, 0.8250, 3_348_227),
    "KD-MRI": (31.95, 0.9060, 30.88, 0.8879, 49_285),
    "SFT-KD-Recon": (32.03, 0.9070, 30.93, 0.8884, 49_285),
}

# Table 8, brain, 4x, attention transfer: network -> parameters, share of the teacher's that is
# removed (%), inference (ms), and (PSNR, SSIM, HFN, VIF) of each training. Caption and text round
# to 33, 62 and 97 %; counted, they are 32.6, 65.2 and 97.9 %. Bold marks D4C5's VIF by SFT-KD,
# which is below that by KD.
TABLE_8 = {
    "D5C5": {
        "parameters": 141_765, "removed": None, "milliseconds": 17.415,
        "alone": (40.05, 0.9785, 0.2802, 0.9146), "kd": None, "sft-kd": None,
    },
    "D4C5": {
        "parameters": 95_525, "removed": 32.6, "milliseconds": 9.353,
        "alone": (39.98, 0.9785, 0.2934, 0.9113), "kd": (40.19, 0.9791, 0.2774, 0.9202),
        "sft-kd": (40.21, 0.9797, 0.2764, 0.9196),
    },
    "D3C5": {
        "parameters": 49_285, "removed": 65.25, "milliseconds": 6.628,
        "alone": (39.49, 0.9759, 0.3266, 0.9037), "kd": (39.76, 0.9769, 0.3023, 0.9103),
        "sft-kd": (40.07, 0.9789, 0.2825, 0.9141),
    },
    "D2C5": {
        "parameters": 3_045, "removed": 97.83, "milliseconds": 3.686,
        "alone": (39.01, 0.9728, 0.3456, 0.8876), "kd": (38.87, 0.9720, 0.3578, 0.8854),
        "sft-kd": (39.17, 0.9739, 0.3417, 0.8929),
    },
}  # fmt: skip
TEXT_8 = {"D4C5": 33, "D3C5": 62, "D2C5": 97}  # caption and text: % removed

# Table 9, super-resolution, 4x, VDSR: row -> (std PSNR, its ±, std SSIM, its ±, the same for sft).
# The caption says MRBrainS, the table and the text Calgary. CC's SSIM is lower by SFT-KD; the
# text's 0.36 dB is the best student's distance to the standard teacher (0.45 to the SFT teacher).
TABLE_9 = {
    "teacher": (30.40, 1.345, 0.8753, 0.01291, 30.49, 1.262, 0.8767, 0.01268),
    "student": (29.94, 1.423, 0.8656, 0.01412, None, None, None, None),
    "at": (29.97, 1.448, 0.8662, 0.01404, 30.02, 1.392, 0.8673, 0.01364),
    "fitnets": (29.95, 1.38, 0.8658, 0.01373, 30.01, 1.381, 0.8672, 0.01360),
    "cc": (29.98, 1.423, 0.8730, 0.01277, 29.99, 1.425, 0.8663, 0.01328),
    "pkt": (29.95, 1.435, 0.8659, 0.01381, 30.01, 1.421, 0.8676, 0.01349),
    "ft": (29.99, 1.427, 0.8665, 0.01332, 30.04, 1.387, 0.8677, 0.01360),
    "nst": (29.98, 1.364, 0.8662, 0.01374, 29.99, 1.414, 0.8663, 0.01382),
}


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
        values["sft-kd-random"] = (
            TABLE_5["sft-kd-random"]["psnr"],
            TABLE_5["sft-kd-random"]["ssim"],
        )
    return values
