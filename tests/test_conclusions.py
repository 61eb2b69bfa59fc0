"""Conclusions over made-up stores: none of one training, nor of an interval that holds zero."""

import doctest
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkd_core.book import conclusions, protocol
from sftkd_core.book.conclusions import CLAIMS, Part, judge, overall, sentences, would_change
from sftkd_core.book.plan import PLAN
from sftkd_core.book.protocol import PRIMARY, answer

VICTORY = re.compile(r"\bahead of\b|\bbehind\b")
VALUES = st.floats(-0.6, 0.6, allow_nan=False).map(lambda value: round(value, 3))
TRAININGS = st.dictionaries(st.integers(0, 9), VALUES, max_size=10)


def store(monkeypatch, levels):
    """A made-up store of profile "study": name -> mean PSNR of each seed that has been trained."""

    def evaluate(settings, names):
        rows = [
            {"seed": s.seed, "name": name, "psnr": levels[name][s.seed]}
            for s in settings
            for name in names
        ]
        return pd.DataFrame(rows, columns=["seed", "name", "psnr"])

    def complete(settings, names):
        here = [s for s in settings if (s.data, s.acceleration) == (protocol.DATA, 4)]
        return [s for s in here if all(s.seed in levels.get(name, {}) for name in names)]

    monkeypatch.setattr(protocol, "evaluate", evaluate)
    monkeypatch.setattr(protocol, "complete", complete)


def made(*values):
    return answer(dict(enumerate(values)))


def test_claims_are_of_the_plan_and_said_once():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    parts = {part for claim in CLAIMS for part in claim.parts}
    assert {name for part in parts for name in (part.a, part.b)} <= set(PLAN)
    assert {part.primary for part in parts} - {None} == set(PRIMARY)


def test_the_papers_values_are_its_own():
    assert Part("teacher", "student", "brain").printed == pytest.approx(0.56)
    assert Part("kd", "student", "brain").printed == pytest.approx(0.27)
    assert Part("sft-kd", "student-long").printed is None


def test_a_store_in_which_all_is_clear(monkeypatch):
    luck = [0.0, 0.3, -0.2, 0.1, 0.4]
    above = {"teacher": 1.0, "student": 0.0, "kd": 0.3, "student-long": 0.5, "sft-kd": 0.2}
    above |= {"sft-finetuned": 0.2, "sft-kd-no-imitation": 0.6}
    wobble = np.random.default_rng(0).normal(0, 0.01, (len(above), 5))
    store(monkeypatch, {
        name: {s: 30 + level + luck[s] + wobble[i, s] for s in range(5)}
        for i, (name, level) in enumerate(above.items())
    })  # fmt: skip
    first, second, third = sentences()
    assert "over 5 seeds, the teacher minus the student is +1.0" in first
    assert re.search(r"over 5 seeds, a student .* \(`kd`\) is ahead of .* by 0\.\d\d dB", first)
    assert "(`sft-kd`) is behind the student alone for the steps of both phases" in second
    assert "differ by less than 0.1 dB" in second
    assert "(`sft-kd-no-imitation`) is ahead of" in third


def test_an_empty_store_concludes_nothing(monkeypatch):
    store(monkeypatch, {})
    assert "not been compared" in sentences()[2]
    assert not VICTORY.search(" ".join(sentences()))
    for claim in CLAIMS:
        judged = [judge(part, conclusions.measured(part)) for part in claim.parts]
        assert overall(judged) in ("not run", conclusions.UNTESTED)


def test_one_training_concludes_nothing(monkeypatch):
    names = {name for question in PRIMARY for name in (question.a, question.b)}
    store(monkeypatch, {name: {3: 30.0 + i} for i, name in enumerate(sorted(names))})
    assert not VICTORY.search(" ".join(sentences()))
    found = conclusions.measured(Part("kd", "student"))
    assert found.trainings == 1
    assert judge(Part("kd", "student"), found) == "one training"
    assert conclusions.detects(found) is None


@settings(deadline=None, max_examples=40)
@given(st.lists(TRAININGS, min_size=4, max_size=4))
def test_no_sentence_is_stronger_than_its_interval(differences):
    found = [answer(one) for one in differences]
    words = protocol.verdicts(found)
    told = dict(zip([q.name for q in PRIMARY], zip(found, words, strict=True), strict=True))
    for question, one in zip(PRIMARY, found, strict=True):
        clause = conclusions.said(question, *told[question.name])
        if one is None or one.data_sets < 2:
            assert "not been compared" in clause
        if VICTORY.search(clause):
            assert one.clear
            assert (one.mean > 0) == ("ahead of" in clause)
            assert re.search(r"over \d+ seeds", clause)
    assert sum(map(len, map(VICTORY.findall, sentences(told)))) == words.count("differs")


@settings(deadline=None, max_examples=40)
@given(TRAININGS)
def test_no_claim_is_replicated_by_an_interval_that_holds_zero(differences):
    found, part = answer(differences), Part("kd", "student")
    judged = judge(part, found)
    if judged == conclusions.REPLICATED:
        assert found.low > 0
    if judged == conclusions.NOT:
        assert found.high < 0 or found.p_outside < 0.05
    assert would_change(part, found, judged)


@pytest.mark.parametrize(("part", "values", "expected"), [
    (Part("kd", "student"), (0.2, 0.21, 0.19), conclusions.REPLICATED),
    (Part("kd", "student"), (-0.2, -0.21, -0.19), conclusions.NOT),
    (Part("kd", "student"), (0.01, -0.01, 0.0), conclusions.NOT),
    (Part("kd", "student"), (0.5, -0.5, 0.0), conclusions.OPEN),
    # the paper has +0.05 there, which 0.1 dB does not contradict
    (Part("sft-teacher", "teacher", "brain", 5), (0.01, -0.01, 0.0), conclusions.OPEN),
    (Part("teacher", "sft-kd", same=True), (0.01, -0.01, 0.0), conclusions.REPLICATED),
    (Part("teacher", "sft-kd", same=True), (-0.4, -0.5, -0.45), conclusions.REPLICATED),
    (Part("teacher", "sft-kd", same=True), (0.4, 0.5, 0.45), conclusions.NOT),
    (Part("teacher", "sft-kd", same=True), (0.4, -0.5, 0.05), conclusions.OPEN),
])  # fmt: skip
def test_a_verdict(part, values, expected):
    found = made(*values)
    assert judge(part, found) == expected
    assert would_change(part, found, expected)


def test_holm_decides_in_a_family():
    barely = made(0.30, 0.01, 0.33, 0.15, 0.45)
    part = Part("kd", "student")
    assert judge(part, barely) == conclusions.REPLICATED
    assert judge(part, barely, "undecided") == conclusions.OPEN


@pytest.mark.parametrize(("judged", "expected"), [
    ([], conclusions.UNTESTED),
    (["replicated", "replicated"], "replicated"),
    (["replicated", "open"], "in part"),
    (["replicated", "not replicated"], "in part"),
    (["not replicated", "open", "not run"], "not replicated"),
    (["open", "not run"], "open"),
    (["one training", "not run"], "not run"),
])  # fmt: skip
def test_a_claim_of_several_tests(judged, expected):
    assert overall(judged) == expected


def test_examples():
    assert doctest.testmod(conclusions).failed == 0
