"""Write the README's results and figure from the shipped results; with --check, compare.

python workflow/readme.py            rewrite the block between the markers, and the figure
python workflow/readme.py --check    compute again; fail where the README says something else
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import matplotlib
import pandas as pd

from sftkd_core import experiments
from sftkd_core.book import comparisons, plots
from sftkd_core.book.comparisons import verdict
from sftkd_core.book.setting import CAST, Setting

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURE = ROOT / "book" / "_static" / "overview.png"
START, END = "<!-- results: written by workflow/readme.py -->", "<!-- end of results -->"
SEEDS = (0, 1, 2, 3, 4)
PAIRS = [
    ("the friendly teacher against the plain one", "sft-teacher", "teacher"),
    ("the whole method against a plain student", "sft-kd", "student"),
    ("the same, against a plain student of equal training", "sft-kd", "student-long"),
    ("distillation against fine-tuning alone", "sft-kd", "sft-finetuned"),
    ("distillation from the plain teacher against none", "kd", "student"),
    ("the whole method without its imitation term against it", "sft-kd-no-imitation", "sft-kd"),
    ("the same, of two phases, against distillation of one", "sft-kd-no-imitation", "kd"),
    ("the same, against equal training", "sft-kd-no-imitation", "student-long"),
]
VARIANT = "sft-kd-no-imitation"  # singled out at 4x; the test of it is at 5x
TESTED = [pair for pair in PAIRS if pair[1] == VARIANT and pair[2] in ("sft-kd", "student-long")]
NAMES = list(dict.fromkeys([*CAST, *(name for _, *pair in PAIRS for name in pair)]))
ROWS = {"zero-filled": "inverse Fourier transform of what was measured", **CAST}
LONGER = [  # compared once more, trained for ``FACTOR`` times as long
    ("sft-kd", "student-long"),
    ("sft-kd-no-imitation", "student-long"),
]
FACTOR = 3


def evaluate(settings: list[Setting]) -> pd.DataFrame:
    """Every slice of every experiment at 4x; an error where one is not shipped."""
    wanted = {(s, name): s.experiment(name) for s in settings for name in NAMES}
    students = {name for pair in LONGER for name in pair}
    longer = {(s, name): wanted[s, name].lengthened(FACTOR) for s in settings for name in students}
    missing = [
        f"{name} (seed {setting.seed}, {e.schedule.epochs} epochs)"
        for group in (wanted, longer)
        for (setting, name), e in group.items()
        if not experiments.exists(e)
    ]
    if missing:
        raise SystemExit(f"error: no results of {', '.join(missing)}; train them first")
    return comparisons.evaluate(settings, ["zero-filled", *NAMES])


def compared(slices: pd.DataFrame, a: str, b: str) -> comparisons.Verdict:
    """The paired difference of two experiments over their seeds."""
    return comparisons.paired(*(slices[slices["name"] == name] for name in (a, b)))


def at_length(settings: list[Setting], pair: tuple[str, str]) -> str:
    """A student against the control of equal training, both trained for longer."""
    tables = [
        pd.concat(
            s.evaluate(s.experiment(name).lengthened(FACTOR)).assign(seed=s.seed) for s in settings
        )
        for name in pair
    ]
    epochs = FACTOR * settings[0].experiment("student").schedule.epochs
    found = verdict(*pair, comparisons.paired(*tables))
    return f"- the same after {epochs} epochs a phase instead of {epochs // FACTOR}: {found}."


def at_the_test(settings: list[Setting]) -> list[str]:
    """The method without its imitation term at the acceleration that it was not singled out at."""
    settings = [Setting(s.profile, s.data, 5, s.seed, s.device) for s in settings]
    names = list(dict.fromkeys(name for _, *pair in TESTED for name in pair))
    slices = comparisons.evaluate(settings, names)
    lines = []
    for label, a, b in TESTED:
        lines.append(f"- at 5x, {label}: {verdict(a, b, compared(slices, a, b))}.")
    return lines


def results_block(settings: list[Setting], slices: pd.DataFrame) -> str:
    """The Markdown between the markers; ``slices`` as ``evaluate`` returns them."""
    seeds = [setting.seed for setting in settings]
    about = [experiments.find(s.experiment("student"), "cpu").provenance for s in settings]
    places = {f"{one['hardware']} in {one['precision']}" for one in about}
    first = slices[(slices["name"] == "student") & (slices["seed"] == seeds[0])]
    means = slices.groupby(["name", "seed"], sort=False)["psnr"].mean()
    head = " | ".join(f"seed {seed}" for seed in seeds)
    rule = "---|" * len(seeds)
    lines = [
        f"Tested on {first['subject'].nunique()} unseen **synthetic** brains a seed "
        f"({settings[0].dataset.size} × {settings[0].dataset.size} pixels, {len(first)} slices, "
        f"{settings[0].acceleration}× acceleration), at the `{settings[0].profile}` profile, "
        "attention transfer. Mean PSNR in dB; phantoms, mask and weights differ from seed to seed:",
        "",
        f"| | {head} | |",
        f"|---|{rule}---|",
    ]
    for name, what in ROWS.items():
        row = " | ".join(f"{means[name, seed]:.2f}" for seed in seeds)
        lines.append(f"| {name} | {row} | {what} |")
    lines += ["", f"| paired difference (dB) | {head} | 95 % over seeds |", f"|---|{rule}---|"]
    found = {}
    for label, a, b in PAIRS:
        v = compared(slices, a, b)
        found[label] = verdict(a, b, v)
        row = " | ".join(f"{mean:+.2f}" for mean in v.by_seed)
        lines.append(f"| {label} ({a} − {b}) | {row} | {v.low:+.2f} to {v.high:+.2f} |")
    lines += ["", "In words:", ""]
    for (label, *pair), text in zip(PAIRS, found.values(), strict=True):
        lines.append(f"- {label}: {text}.")
        if tuple(pair) in LONGER:
            lines.append(at_length(settings, tuple(pair)))
    lines += at_the_test(settings)
    lines += [
        "",
        "The imitation term is the third of the paper's joint loss. The released code divides it "
        "by the number of values once too often, which leaves next to nothing of it: "
        "`book/audit/paper_and_code.ipynb` and `book/ablations/branches.ipynb`. The variant "
        "without it was singled out because it led at 4x in three of these seeds, so its "
        "numbers there may flatter it; at 5x the rule was written first.",
        "",
        f"That is {len(seeds)} seeds at a small size; the book shows how to look further. "
        f"Trained on {' or '.join(sorted(places, reverse=True))}; each record in "
        "`results/` has its commit. Intervals: Student's t on the means of the seeds.",
    ]
    return "\n".join(lines)


def figure(setting: Setting) -> None:
    """One unseen slice: what is measured, and what students make of it."""
    plots.use_style()
    index = setting.dataset.slices // 2  # the middle of the first subject
    target = setting.test_set.images[index]
    names = ["zero-filled", "student", "student-long", "sft-kd"]
    images = {"target (synthetic)": target}
    images |= {name: setting.reconstruct(name)[index] for name in names}
    size = target.shape[-1]
    drawn = plots.gallery(images, target, residues=True, zoom=(size // 3, size // 3, size // 5))
    drawn.savefig(FIGURE, dpi=80)


def numbers(text: str) -> list[tuple[float, int]]:
    """Each number with a point, and how many digits it has behind it."""
    found = re.findall(r"[-+−]?\d+\.\d+", text)
    return [(float(x.replace("−", "-")), len(x.partition(".")[2])) for x in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    matplotlib.use("Agg")
    with tempfile.TemporaryDirectory() as empty:  # what you have run yourself is out of sight
        os.environ |= {"SFTKD_SHIPPED": "yes", "SFTKD_STALE": "redo", "SFTKD_HOME": empty}
        return compare() if check else write()


def compare() -> int:
    """0 where the README says what the results say, rounding aside."""
    before, block = said(), computed()
    words = [
        re.sub(r"[-+−]?\d+\.\d+", "#", part.split("Trained on")[0]) for part in (before, block)
    ]
    ours, theirs = map(numbers, (before, block))
    # another processor may round differently: one unit of the last digit
    close = len(ours) == len(theirs) and all(
        abs(a - b) < 1.5 * 10**-digits for (a, digits), (b, _) in zip(ours, theirs, strict=True)
    )
    if close and words[0] == words[1]:
        return 0
    print(f"error: README.md says\n{before}\nbut the results are\n{block}", file=sys.stderr)
    return 1


def write() -> int:
    block = computed()
    head, rest = README.read_text(encoding="utf-8").split(START)
    README.write_text(f"{head}{START}\n{block}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    figure(Setting("quick", seed=SEEDS[0], device="cpu"))
    print(block)
    return 0


def said() -> str:
    text = README.read_text(encoding="utf-8")
    return text[text.index(START) + len(START) : text.index(END)].strip()


def computed() -> str:
    settings = [Setting("quick", seed=seed, device="cpu") for seed in SEEDS]
    return results_block(settings, evaluate(settings))


if __name__ == "__main__":
    sys.exit(main())
