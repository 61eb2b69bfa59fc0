"""How bright each tissue is: T1-like mostly, now and then another weighting."""

import numpy as np

# lowest and highest signal; what is not named for a weighting is as in T1
T1 = {
    "white": (0.75, 1.0),
    "grey": (0.45, 0.7),
    "fluid": (0.05, 0.25),
    "fat": (0.7, 1.3),
    "skin": (0.35, 0.7),
    "muscle": (0.3, 0.6),
    "gland": (0.4, 1.0),
    "marrow": (0.3, 1.0),
    "bone": (0.01, 0.1),
    "lesion": (0.2, 0.9),
}
T2 = {"white": (0.2, 0.4), "grey": (0.4, 0.65), "fluid": (0.8, 1.3), "fat": (0.2, 0.9)}
T2 |= {"muscle": (0.08, 0.25), "gland": (0.3, 1.0), "marrow": (0.1, 0.6), "skin": (0.1, 0.4)}
PD = {"white": (0.6, 0.75), "grey": (0.75, 0.95), "fluid": (0.6, 1.0), "fat": (0.3, 1.0)}
ANY = {name: (0.05, 1.0) for name in T1 if name != "bone"}
WEIGHTINGS = {"T1": T1, "T2": T2, "PD": PD, "any": ANY}
SHARES = (0.6, 0.15, 0.1, 0.15)


def weighting(generator: np.random.Generator, varied: bool = True) -> dict[str, float]:
    """The signal of each tissue for one subject; of T1 where not ``varied``."""
    name = str(generator.choice(list(WEIGHTINGS), p=SHARES)) if varied else "T1"
    limits = T1 | WEIGHTINGS[name]
    return {tissue: float(generator.uniform(*limits[tissue])) for tissue in T1}
