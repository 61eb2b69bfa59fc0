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

from sftkd_core import experiments, metrics, plots
from sftkd_core.settings import PLAN, Setting

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURE = ROOT / "book" / "_static" / "overview.png"
START, END = "<!-- results: written by workflow/readme.py -->", "<!-- end of results -->"
SEEDS = (0, 1)
PAIRS = [
    ("the whole method against a plain student", "sft-kd", "student"),
    ("the same, against a plain student of equal training", "sft-kd", "student-long"),
    ("distillation against fine-tuning alone", "sft-kd", "sft-finetuned"),
]


def evaluate(setting: Setting) -> dict:
    """Tables of every experiment of the plan; an error where one is not shipped."""
    missing = [n for n in PLAN if experiments.find(setting.experiment(n), "cpu") is None]
    if missing:
        raise SystemExit(f"error: no results of {', '.join(missing)}; train them first")
    return {name: setting.evaluate(name) for name in ["zero-filled", *PLAN]}


def results_block(settings: list[Setting], tables: list[dict]) -> str:
    """The Markdown between the markers; ``tables`` of each setting, one a seed."""
    first, seeds = tables[0], [setting.seed for setting in settings]
    about = experiments.find(settings[0].experiment("student"), "cpu").provenance
    lines = [
        f"Tested on {first['student']['subject'].nunique()} unseen **synthetic** brains a seed "
        f"({settings[0].dataset.size} × {settings[0].dataset.size} pixels, "
        f"{len(first['student'])} slices, {settings[0].acceleration}× acceleration), at the "
        f"`{settings[0].profile}` profile. Mean PSNR in dB; phantoms, mask and weights differ from "
        "seed to seed:",
        "",
        "| | " + " | ".join(f"seed {seed}" for seed in seeds) + " | |",
        "|---|" + "---|" * len(seeds) + "---|",
    ]
    for name in first:
        what = PLAN.get(name, "inverse Fourier transform of what was measured")
        row = " | ".join(f"{table[name]['psnr'].mean():.2f}" for table in tables)
        lines.append(f"| {name} | {row} | {what} |")
    lines += [
        "",
        "| paired difference (dB, 95 % interval) | "
        + " | ".join(f"seed {seed}" for seed in seeds)
        + " |",
        "|---|" + "---|" * len(seeds),
    ]
    found = {}
    for label, a, b in PAIRS:
        found[b] = [metrics.compare(table[a], table[b]) for table in tables]
        row = " | ".join(f"{c.mean:+.2f} ({c.low:+.2f} to {c.high:+.2f})" for c in found[b])
        lines.append(f"| {label} ({a} − {b}) | {row} |")
    lines += [
        "",
        f"Here the distilled student {verdict(found['student'])} a plain one; "
        f"it {verdict(found['student-long'])} a plain one of equal training. "
        f"That is {len(seeds)} seeds at a small size; the book shows how to look further.",
        "",
        f"Trained on {about['hardware']} in {about['precision']}; each record in `results/` has "
        "its commit. Intervals: bootstrap over subjects, then slices; they do not speak about "
        "seeds.",
    ]
    return "\n".join(lines)


def verdict(comparisons: list[metrics.Comparison]) -> str:
    """No more than the intervals of all seeds say."""
    signs = {(c.mean > 0) - (c.mean < 0) if c.clear else 0 for c in comparisons}
    if signs == {1}:
        return "beats"
    if signs == {-1}:
        return "falls behind"
    return "beats, with some seeds only,"


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


def numbers(text: str) -> list[float]:
    return [float(x.replace("−", "-")) for x in re.findall(r"[-+−]?\d+\.\d+", text)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    matplotlib.use("Agg")
    with tempfile.TemporaryDirectory() as empty:  # what you have run yourself is out of sight
        os.environ |= {"SFTKD_SHIPPED": "yes", "SFTKD_HOME": empty}
        return compare() if check else write()


def compare() -> int:
    """0 where the README says what the results say, rounding aside."""
    before, block = said(), computed()
    tables = [part.split("Here the")[0] for part in (before, block)]
    words = [part.split("Here the")[-1].split("Trained on")[0] for part in (before, block)]
    ours, theirs = map(numbers, tables)
    # another processor may round differently
    close = len(ours) == len(theirs) and all(
        abs(a - b) < 0.021 for a, b in zip(ours, theirs, strict=True)
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
    return results_block(settings, [evaluate(setting) for setting in settings])


if __name__ == "__main__":
    sys.exit(main())
