"""No sentence makes a finding of one training: who is ahead is for several seeds to say.

The sources of the chapters are read, their prose and the strings of their code, and then what they
print: at the smoke profile, where there is one seed, and at quick where that has been run. Over
several seeds a finding needs an interval that leaves out zero. A question may use any word.
"""

import ast
import re

import pytest
from chapters import CHAPTERS, ROOT, name, run_chapter, source

VERDICT = re.compile(
    r"""\bahead\b | \bbeat(?:s|en)?\b | \bw[io]ns?\b | \bclear(?:ly)?\b | \btold\ apart\b
    | \boutperform\w* | \b(?:better|worse)\ than\b | \bteach\w*\ (?:better|worse)\b
    | \b(?:is|are|was|were|falls?|fell|lies|lags?|stays?|comes?|came)\ behind\b
    | \bis\ \*\*(?:better|worse) | \b(?:helps?|hurts?)\ here\b | \bharm\ here\b""",
    re.X | re.I,
)
OVER_SEEDS = re.compile(r"\b[Oo]ver (?:[2-9]|\d\d+) seeds\b")
INTERVAL = re.compile(r"\binterval[^+\-−\d]*([+\-−]?[\d.]+) to ([+\-−]?\d+(?:\.\d+)?)")
PAPER = "what the paper says, as the paper's"
OTHERS = "a finding of others, cited"
DEFINITION = "says what a number or a word means"
CERTAIN = "follows from a formula, not from a training"
GENERAL = "ordinary English, compares no two trainings"
SEEDS = "branches on a Verdict of several seeds"
ALLOWED = {  # chapter: words of a sentence that may stand, and why
    "branches": {"branches can only win together": CERTAIN},
    "compression": {"whatever is better than all before it": DEFINITION},
    "feature_domain": {
        "found $L_1$ ahead nevertheless": OTHERS,
        "no better than the wrong slice": DEFINITION,
        "concludes that image-domain students mimic their teachers better": PAPER,
    },
    "heterogeneous_teacher": {"better than the zero-filled image, that is": GENERAL},
    "initialisation": {
        "The paper finds the friendly teacher consistently better": PAPER,
        "does not say that one end is better than the other": GENERAL,
    },
    "paper_and_code": {
        "The paper finds the friendly teacher consistently better": PAPER,
        "lies behind the last tap": GENERAL,
        "dB better than the last one, on the slices that chose it": "of epochs of one training",
    },
    "simulation": {"the cheat is worse than no cleverness at all": CERTAIN},
    "where_the_gain": {
        "ends up better than one that was only distilled": PAPER,
        "a student with a past starts ahead for free": GENERAL,
        "a plain student of the *same multiply-adds* that stays behind": "what would be evidence",
        "where only clear results are reported": GENERAL,
    },
    "headroom": {
        "the teacher leads a student of as many steps by 0.3 dB": "the rule, over seeds",
        "The teacher leads the plain student by 0.1 dB": "of an exercise",
    },
    "attention_transfer": {"Only from a square does the text conclude": DEFINITION},
    "factors": {
        "sixteen clear maps": GENERAL,
    },
    "fitnets": {"$1$ is no better than that mean": DEFINITION},
    "flow": {"values above it are worse than silence": DEFINITION},
    "taps": {"once it is clear where": GENERAL},
    "weights": {"looks a little better than it is": GENERAL},
    "data_consistency": {"look better than it would be on raw data": OTHERS},
    "your_data": {
        "Nothing beats in a phantom": "of hearts",
        "may be worse than no network at all": GENERAL,
        "can be worse than none": GENERAL,
    },
    "other_networks": {
        "the judge wins every time": "the discriminator of a game of two",
        '"outperforms three other methods"': PAPER,
        "which counts as outperforming": PAPER,
    },
    "sft_kd": {
        "The complete method **beats the plain student**": SEEDS,
        "The complete method **falls behind the plain student**": SEEDS,
        "Whether the complete method beats the plain student is **open**": SEEDS,
        "It **also beats** a plain student": SEEDS,
        "A plain student with the same number of steps **beats it**": SEEDS,
        "Fine-tuning the branch weights without a teacher is **better**": SEEDS,
        "the friendly teacher **teaches better**": SEEDS,
        "the friendly teacher **teaches worse**": SEEDS,
        "whether friendly or plain teacher teaches better is **open**": SEEDS,
    },
}


def sentences(text):
    """Sentences, items of lists and rows of tables, each in one line."""
    pieces = re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n(?=\s*(?:[-|]|\d+\.)\s)", text)
    return [" ".join(piece.split()) for piece in pieces]


def verdicts(text, allowed=()):
    """Sentences with a word of victory: no question, not proven, not among those allowed."""
    return [
        sentence
        for sentence in sentences(text)
        if VERDICT.search(sentence)
        and not sentence.rstrip("*_").endswith("?")
        and not proven(sentence)
        and not any(words in sentence for words in allowed)
    ]


def proven(sentence):
    """Said of several seeds, and no interval that it quotes has zero inside."""
    ends = [tuple(float(end.replace("−", "-")) for end in m) for m in INTERVAL.findall(sentence)]
    return OVER_SEEDS.search(sentence) and not any(low <= 0 <= high for low, high in ends)


def strings(code):
    """What a cell may print: its strings, an f-string as one with {} for what is computed."""
    tree = ast.parse(code)
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in joined for part in node.values}
    for node in joined:
        parts = (getattr(part, "value", None) for part in node.values)
        yield "".join(part if isinstance(part, str) else "{}" for part in parts)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield node.value


def texts(path):
    for cell in source(path).cells:
        if cell.cell_type == "markdown":
            yield cell.source
        elif "setup" not in cell.metadata.get("tags", []):
            yield from strings(cell.source)


def printed(notebook):
    """All text among the outputs of a notebook that has run."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if output.get("name") == "stdout":
                yield output.text
            for kind in ("text/markdown", "text/plain"):
                yield data.get(kind, "")
            yield re.sub(
                r"<(?:script|style).*?</(?:script|style)>|<[^>]+>",
                "\n\n",
                data.get("text/html", ""),
                flags=re.S,
            )


WRONG = [
    "**kd** is ahead of **student** by 0.10 dB (95 % interval +0.05 to +0.15).",
    "**kd** and **student** cannot be told apart (+0.10 dB, 95 % interval -0.05 to +0.25).",
    "- The complete method **beats the plain student**, as the paper says (+0.16 dB).",
    "In this training the friendly teacher\nis behind the plain one.",
    "Published ahead of released: SP; behind: none; not run: 2.",
    "- So similarities do harm here: the interval lies below zero.",
    "In the end it is **better** (+0.20 dB, +0.10 to +0.30).",
    "The interval leaves out zero, a clear difference.",
    "Is it so?\nIt is: kd beats the student.",
]


@pytest.mark.parametrize("text", WRONG)
def test_the_scanner_sees_a_finding(text):
    assert len(verdicts(text)) == 1
    assert len(verdicts(f"Nothing here. {text} Nor here.")) == 1
    (told,) = strings(f"x = f{f'{text} {{y}}'!r}")
    assert verdicts(told)


@pytest.mark.parametrize("text", [
    "**kd** minus **student** is +0.16 dB in this training (subjects: +0.1 to +0.2).",
    "over 5 seeds, **kd** is ahead of **student** by 0.10 dB (95 % interval +0.05 to +0.15).",
    "Will the student beat the zero-filled image?",
    "The branch behind stage 4 is one of four.",
])  # fmt: skip
def test_the_scanner_lets_pass_what_is_none(text):
    assert not verdicts(text)


@pytest.mark.parametrize("interval", ["-0.05 to +0.25", "−0.05 to 0.25", "+0.00 to +0.25"])
def test_over_seeds_a_finding_needs_an_interval_without_zero(interval):
    told = "over 5 seeds, **kd** is ahead of **student** by 0.10 dB (95 % interval {})."
    assert verdicts(told.format(interval))
    assert not verdicts(told.format("-0.25 to -0.05"))
    assert not verdicts(told.format("0.05 to 0.25"))


def test_one_seed_is_not_several():
    assert verdicts("over 1 seeds, **kd** is ahead of **student** by 0.10 dB.")
    assert verdicts("over 10 seeds, kd did well. **kd** is ahead of **student**.")


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_no_source_makes_a_finding_of_one_training(path):
    allowed = ALLOWED.get(name(path), {})
    assert not [found for text in texts(path) for found in verdicts(text, allowed)]
    whole = " ".join(sentence for text in texts(path) for sentence in sentences(text))
    assert not [words for words in allowed if words not in whole]  # none is left over


@pytest.mark.parametrize("page", ["intro", "status"])
def test_no_page_makes_a_finding_of_one_training(page):
    assert not verdicts((ROOT / f"book/{page}.md").read_text(encoding="utf-8"))


def test_every_finding_of_the_readme_has_an_interval_without_zero():
    """Its lists and tables say once of how many seeds they are."""
    told = sentences((ROOT / "README.md").read_text(encoding="utf-8"))
    findings = [one for one in told if re.search(r"\bis (?:ahead of|behind)\b", one)]
    assert findings
    assert all(INTERVAL.search(one) and proven(f"over 5 seeds {one}") for one in findings)


@pytest.mark.parametrize("profile", ["smoke", "quick"])
@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_no_run_prints_a_finding_without_its_seeds(path, profile):
    target = ROOT / f"_build/{profile}/executed" / path.relative_to(ROOT)
    if not target.exists() and profile == "quick":
        pytest.skip("the book has not been run at quick: make book")
    if not target.exists():
        pytest.fail(f"{target} is missing: run make test, which runs the chapters first")
    reasons = ALLOWED.get(name(path), {})
    allowed = [words for words, why in reasons.items() if why != SEEDS or profile != "smoke"]
    executed = run_chapter.read(target)
    found = [one for text in printed(executed) for one in verdicts(text, allowed)]
    # over seeds, of which smoke has none; and what evaluate says of the very images at hand
    fair = re.compile(r"95 % interval (?!.*subjects)|worse than what it was given")
    assert not [one for one in found if profile == "smoke" or not fair.search(one)]
