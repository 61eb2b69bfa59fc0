"""Draw the map of chapters, and say in words what it shows, from the table of contents.

python workflow/draw_map.py       rewrites book/_static/map.svg and its description in intro.md
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DRAWN, INTRO = ROOT / "book/_static/map.svg", ROOT / "book/intro.md"
WIDTH, GAP, TOP = 140, 8, 40


@dataclass(frozen=True)
class Part:
    """A part of the book: its column, the class of its boxes, the colour of its frame, a heading.

    title  where the caption is too long for a column
    """

    column: int
    style: str
    frame: str
    title: str = ""


PARTS = {
    "Foundations": Part(0, "f", "#0a5a9c"),
    "The student-friendly teacher": Part(1, "s", "#a65c00", "Student-friendly teacher"),
    "Other things to share": Part(2, "o", "#8f3f73"),
    "Ablations": Part(3, "b", "#a65c00"),
    "Results": Part(4, "r", "#555"),
    "Super-resolution": Part(4, "r", "#555"),
    "The audit": Part(1, "u", "#a3271b"),
    "Practice": Part(3, "p", "#1d7044"),
}
WORDS = {  # a short title, and what the chapter is about
    "masks": ("k-space and masks", "what the scanner skips"),
    "data_consistency": ("Data consistency", "never contradict the data"),
    "cascades": ("Cascades", "teacher and student"),
    "metrics": ("Metrics", "what a number sees"),
    "phantoms": ("The phantoms", "how heads are painted"),
    "headroom": ("Anything to distil?", "the teacher's lead"),
    "attention_transfer": ("Attention transfer", "plain distillation"),
    "sft_training": ("SFT training", "a teacher that listens"),
    "sft_kd": ("SFT-KD", "the claim and its controls"),
    "images": ("The teacher's image", "the simplest methods"),
    "fitnets": ("FitNets", "the features themselves"),
    "similarity": ("Similarity", "which slices look alike"),
    "flow": ("Flow", "from layer to layer"),
    "correlation": ("Correlation", "slices under a kernel"),
    "probabilities": ("Probabilities", "who is whose neighbour"),
    "factors": ("Factors", "a paraphrase"),
    "selectivity": ("Selectivity", "channels as a set"),
    "taps": ("What to tap", "layers or images"),
    "weights": ("How hard to pull", "the weight of a loss"),
    "initialisation": ("Initialisation", "where the student starts"),
    "compression": ("Compression", "how small it can be"),
    "heterogeneous_teacher": ("Another teacher", "a U-Net in its place"),
    "feature_domain": ("Feature domain", "friends without images"),
    "pretraining": ("Pre-training", "started on hearts"),
    "branches": ("Branches", "how many, which weights"),
    "protocol": ("How we ask", "questions, rules, power"),
    "table_1": ("Table 1", "methods and controls"),
    "other_networks": ("Other networks", "among its rivals"),
    "when_it_pays": ("When it pays", "few subjects, no targets"),
    "conclusions": ("Conclusions", "every claim, one figure"),
    "vdsr": ("VDSR", "detail without lines"),
    "paper_and_code": ("Paper and code", "where they part"),
    "where_the_gain": ("The gain", "where it comes from"),
    "simulation": ("The simulation", "what it hides"),
    "your_volume": ("Your volume", "from your own scan"),
    "your_data": ("Your data", "a public data set"),
    "your_network": ("Your network", "distilled as it is"),
    "performance": ("Performance", "what each idea bought"),
}
STYLE = """
rect{stroke-width:1.5} .f rect{fill:#e3eefa;stroke:#0a5a9c} .s rect{fill:#fdeed6;stroke:#a65c00}
.o rect{fill:#f6e8f1;stroke:#8f3f73} .r rect{fill:#ececec;stroke:#555}
.b rect{fill:#fff;stroke:#a65c00} .u rect{fill:#fbe3df;stroke:#a3271b}
.p rect{fill:#e2f3e8;stroke:#1d7044}
rect.g{fill:none;stroke-dasharray:4 3}
text{text-anchor:middle;fill:#1c1c1c} .t{font-size:10.8px;font-weight:600}
.l{font-size:10px;fill:#444} .h{font-size:12.5px;fill:#444}
"""


def contents() -> dict[str, list[str]]:
    """Part -> its chapters' names, of the parts that have numbers."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    numbered = [part for part in toc["parts"] if part.get("numbered")]
    return {p["caption"]: [Path(c["file"]).name for c in p["chapters"]] for p in numbered}


def box(number: int, name: str, x: int, y: int, style: str) -> str:
    """A chapter: its number and title, and what it is about."""
    title, about = WORDS[name]
    centre = x + WIDTH // 2
    return (
        f'<g class="{style}"><rect x="{x}" y="{y}" width="{WIDTH}" height="38" rx="7"/>'
        f'<text x="{centre}" y="{y + 17}" class="t">{number} · {title}</text>'
        f'<text x="{centre}" y="{y + 31}" class="l">{about}</text></g>'
    )


def draw(parts: dict[str, list[str]]) -> str:
    """The whole map as SVG: a frame a part, in its column, below what is there already."""
    below = dict.fromkeys(range(5), TOP)
    shapes, number = [], 0
    for caption, names in parts.items():
        part = PARTS[caption]
        x, y = 12 + 162 * part.column, below[part.column]
        height = 46 * len(names) + GAP
        shapes.append(
            f'<text x="{x + WIDTH // 2}" y="{y - 18}" class="h">{part.title or caption}</text>'
        )
        shapes.append(
            f'<rect class="g" x="{x - 7}" y="{y - 8}" width="{WIDTH + 14}" height="{height}" '
            f'rx="9" stroke="{part.frame}"/>'
        )
        for name in names:
            number += 1
            shapes.append(box(number, name, x, y, part.style))
            y += 46
        below[part.column] = y + 44
    width, height = 12 + 162 * 5, max(below.values()) - 38
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *shapes, "</svg>", ""])


def describe(parts: dict[str, list[str]]) -> str:
    """The same in words, for those who do not see it."""
    number, told = 0, []
    for caption, names in parts.items():
        words = []
        for name in names:
            number += 1
            words.append(f"{number} {WORDS[name][0]}")
        told.append(f"{caption}: {', '.join(words)}.")
    return f"Map of the {number} chapters by part. {' '.join(told)}"


def main() -> None:
    parts = contents()
    DRAWN.write_text(draw(parts), encoding="utf-8")
    text = INTRO.read_text(encoding="utf-8")
    described = f":alt: {describe(parts)}\n"
    INTRO.write_text(re.sub(r":alt: Map of .*\n", lambda _: described, text), encoding="utf-8")


if __name__ == "__main__":
    main()
