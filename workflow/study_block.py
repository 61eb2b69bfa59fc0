"""What the trainings of profile "study" answer: three sentences, one table, one figure."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from rounding import BY_ROUNDING

from sftkd_core.book import conclusions, paper, plots, scarcity
from sftkd_core.book.comparisons import STUDY_SEEDS
from sftkd_core.book.protocol import DATA, DESCRIPTIVE, PRIMARY, Answer, Question, answer
from sftkd_core.book.protocol import differences as differences_of
from sftkd_core.book.setting import Setting

ROOT = Path(__file__).resolve().parents[1]
LEAD = Question("headroom", "teacher", "student", "how far does the teacher lead?")
DRAWN = (LEAD, *PRIMARY, *DESCRIPTIVE)
QUESTIONS = (*DRAWN, *scarcity.ASKED)  # the last are too large for the figure of the others


def answers() -> dict[str, tuple[Answer | None, str]]:
    """Question -> answer and, of a primary one, the word of the rule; "" of the others."""
    found = dict(conclusions.family())
    for question in (LEAD, *DESCRIPTIVE):
        found[question.name] = answer(differences_of(question)), ""
    for question in scarcity.ASKED:
        found[question.name] = answer(scarcity.differences(question)), ""
    return found


def few(found: Answer | None) -> str:
    """A sentence on a student of one subject, or none while its interval holds zero."""
    if found is None or found.data_sets < 2 or not found.clear:
        return ""
    return (
        f"**Few subjects**: over {found.data_sets} seeds, a student that has the targets of one "
        "subject and the teacher's images of all others is "
        f"{'ahead of' if found.mean > 0 else 'behind'} one that has the subject alone by "
        f"{abs(found.mean):.2f} dB (95 % interval {found.low:+.2f} to {found.high:+.2f}); the "
        "teacher had learnt from the targets of all."
    )


def longer(found: Answer | None, method: Answer | None) -> str:
    """A sentence on plain distillation for two phases, or none while its interval holds zero."""
    if found is None or found.data_sets < 2 or not found.clear:
        return ""
    said = (
        f"**The steps of both phases, distilled**: over {found.trainings} seeds, a student that is "
        "distilled from the plain teacher for as many steps as both phases have (`kd-long`) is "
        f"{'ahead of' if found.mean > 0 else 'behind'} the student alone (`student-long`) by "
        f"{abs(found.mean):.2f} dB (95 % interval {found.low:+.2f} to {found.high:+.2f})"
    )
    if method is not None and method.data_sets > 1 and method.clear:
        said += (
            ", and the whole method (`sft-kd`) is "
            f"{'ahead of' if method.mean > 0 else 'behind'} it by {abs(method.mean):.2f} dB "
            f"(95 % interval {method.low:+.2f} to {method.high:+.2f})"
        )
    return f"{said}."


def about() -> str:
    """On what: subjects, pixels, steps, and where it was trained."""
    setting = Setting("study", DATA, device="cpu")
    data, schedule = setting.dataset, setting.basis.schedule
    steps = schedule.epochs * data.train * data.slices // schedule.batch
    where = " or ".join(places())
    trained = f" Trained on {where}." if where else ""
    return (
        f"Tested on {data.test} unseen **synthetic** hearts a data set ({data.size} × {data.size} "
        f"pixels, {setting.acceleration:g}× acceleration, one mask, clean targets), {steps} steps "
        f"a phase, profile `study`.{trained}"
    )


def place(provenance: dict) -> str:
    """The hardware and the arithmetic of a record, in words; rounding is named by the hardware."""
    where, kind = provenance["hardware"], provenance["precision"]
    return where if where.endswith(BY_ROUNDING) else f"{where} in {kind}"


def places() -> list[str]:
    """Where the networks of the table were trained, in words, as their records say."""
    found = set()
    for seed in STUDY_SEEDS:
        setting = Setting("study", DATA, seed=seed, device="cpu")
        for name in {name for question in DRAWN for name in (question.a, question.b)}:
            path = ROOT / "results" / setting.experiment(name).name / "result.json"
            if path.exists():
                about = json.loads(path.read_text())["provenance"]
                found.add(place(about))
    return sorted(found)


def row(question: Question, found: Answer | None, word: str) -> str:
    """A line of the table; what was not run is said to be missing."""
    pair = f"{question.a} − {question.b}"
    kind = word or "descriptive"
    if found is None or found.data_sets < 2:
        return f"| {question.asks} | {pair} | not run | | | {kind} |"
    seeds = " ".join(f"{v:+.2f}" for v in found.by_seed.values())
    interval = f"{found.low:+.2f} to {found.high:+.2f}"
    return f"| {question.asks} | {pair} | {found.mean:+.2f} | {interval} | {seeds} | {kind} |"


def block() -> str:
    """The Markdown between the markers of README and front page."""
    found = answers()
    told = conclusions.sentences({q.name: found[q.name] for q in PRIMARY}, found[LEAD.name][0])
    more = [
        longer(found["longer"][0], found["longer, against the method"][0]),
        few(found["few, unlabelled"][0]),
    ]
    told = [*told, *filter(None, more)]
    lines = [*(f"- {sentence}" for sentence in told), "", about(), ""]
    lines += [
        "| question | difference | mean (dB) | 95 % over trainings | each training | by the rule |",
        "|---|---|---|---|---|---|",
    ]
    lines += [row(q, *found[q.name]) for q in QUESTIONS]
    lines += [
        "",
        "The first question is the positive control; the next four are primary: written down, with "
        "the rule that answers them, before any joint or distilled network of this profile was "
        "trained (`results/README.md`; Holm within the four; *equivalent* is less than 0.1 dB). "
        "All others are descriptive; the rows on FSP, those on distillation for two phases, that "
        "on a student of twice the steps against the teacher, and the last two were added when "
        "results were known (those on FSP's two stages and on two phases before their own "
        "trainings). FSP was also the best method on the tuning seed. "
        "The last row is the control of the row on a larger teacher, which says nothing while that "
        "teacher does not lead. Intervals: Student's t on "
        "the data sets' means.",
    ]
    return "\n".join(lines)


def draw(path: Path) -> None:
    """Dots of seeds for each question, intervals, and the paper's values on its own data."""
    every = answers()
    found = {q: every[q.name] for q in DRAWN}
    shown = {q: pair for q, pair in found.items() if pair[0] and pair[0].trainings > 1}
    plots.use_style()
    figure, axis = plt.subplots(figsize=(8, 0.5 * len(shown) + 1.2))
    printed = paper.reported(DATA, 4)
    for height, (question, (result, _)) in enumerate(shown.items()):
        one_row(axis, -height, question, result, printed)  # type: ignore[arg-type]
    axis.axvline(0, color="0.5", linewidth=1, marker="")
    labels = [f"{q.a} − {q.b}{' *' if q in PRIMARY else ''}" for q in shown]
    axis.set_yticks([-k for k in range(len(shown))], labels)
    axis.set_xlabel("difference in PSNR (dB); * primary question; ◇ the paper, on its own data")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def one_row(axis: Axes, height: float, question: Question, result: Answer, printed: dict) -> None:
    """Seeds as dots, mean and interval, the paper's difference where it has both."""
    colour = plots.COLOURS[0] if question in PRIMARY else plots.COLOURS[2]
    axis.plot([result.low, result.high], [height] * 2, color=colour, marker="", linewidth=2)
    axis.plot(result.mean, height, "o", color=colour)
    seeds = list(result.by_seed.values())
    axis.plot(seeds, [height + 0.22] * len(seeds), ".", color=colour, alpha=0.6)
    if {question.a, question.b} <= printed.keys():
        theirs = printed[question.a][0] - printed[question.b][0]
        axis.plot(theirs, height, "D", color="black", markerfacecolor="white")
