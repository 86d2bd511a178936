"""A report is one page that holds everything, says the answer first, and shows what is in a run as text only."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import html5lib
import pytest

import nnqmc
from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError
from nnqmc.job import Result, RunDirectory
from nnqmc.report import documents, facts
from nnqmc.report.command import report
from nnqmc.report.documents import Run, of_one, of_several
from nnqmc.report.figures import Figure
from nnqmc.statistics import Estimate, ObservableEstimate
from written_runs import write_run

HOSTILE = "<script>alert(1)</script><img src=x onerror='alert(2)'>&amp;\"--> $x$"
VOID = ("meta", "link", "img", "br", "hr", "input")


class Page(HTMLParser):
    """Collects what a page consists of, and refuses tags that don't balance."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        assert len({name for name, _ in attrs}) == len(attrs), "an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.text += data


def opened(path):
    directory = RunDirectory.open(path)
    return Run(directory, directory.load_result())


def check_page(text):
    """Return a page that is whole, has no identifier twice, and makes a browser load and execute nothing."""
    html5lib.HTMLParser(strict=True).parse(text)  # raises on whatever the HTML standard calls an error
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and page.tags[:2] == ["html", "head"] and page.tags.count("h1") == 1
    assert not {"script", "img", "iframe", "link", "object", "base", "form"} & set(page.tags)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    for name, value in page.attributes:
        assert not name.startswith("on") and name != "src", (name, value)
        if name in ("href", "xlink:href"):
            assert value.startswith(("#", "https://doi.org/", "https://arxiv.org/", "data:image/png;")), value
            assert not value.startswith("#") or value[1:] in ids
    assert set(re.findall(r"url\((.)", text)) <= {"#"} and "@import" not in text
    assert "prefers-color-scheme: dark" in text
    return page


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    doubtful = ObservableEstimate(1.0, 0.1, unit=HOSTILE, caveats=(f"off {HOSTILE}",), notes=(HOSTILE,))
    return write_run(tmp_path_factory.mktemp("runs") / HOSTILE.replace("/", "_"), HOSTILE, result={
        "notes": (f"noted {HOSTILE}",), "versions": {HOSTILE: HOSTILE}, "seconds": {HOSTILE: 1.0},
        "observables": {HOSTILE: doubtful, "virial": doubtful},
        "reference": {"energy": -8.0705, "uncertainty": None, "kind": HOSTILE, "source": HOSTILE}})


def test_a_page_shows_whatever_a_run_holds_as_text(hostile):
    page = check_page(of_one(opened(hostile)))
    assert page.tags.count("svg") == 4
    for words in (f"noted {HOSTILE}", f"off {HOSTILE}", HOSTILE):
        assert words in page.text
    both = check_page(of_several([opened(hostile), opened(hostile)]))
    assert both.tags.count("svg") == 1 and HOSTILE.replace("/", "_") in both.text


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the figures, which take long to draw; the names of their sections stay."""
    monkeypatch.setattr(documents, "figure", lambda *_: Figure("<svg></svg>", []))


def test_the_answer_comes_first_and_the_page_says_how_to_repeat_and_cite(tmp_path, undrawn):
    page = check_page(of_one(opened(write_run(tmp_path / "lih"))))
    answer = page.text.index("E = \N{MINUS SIGN}8.0704(2) hartree")
    positions = [page.text.index(words) for words in (
        "It lies 0.1(2) mHa above the published energy", "Learning curve", "Checks", "What the error bar covers",
        "train.steps", f"nnqmc run --config {tmp_path / 'lih' / 'config.toml'}", "doi:10.1103/PhysRevResearch")]
    assert [answer, *positions] == sorted([answer, *positions])
    (tmp_path / "lih" / "result.json").unlink()
    assert "No result yet" in check_page(of_one(opened(tmp_path / "lih"))).text


def test_every_reason_for_doubt_stands_beside_one_check():
    lost = Estimate(-7.9, 1e-3, 0.1, 2.0, 1.2, 1000, ("the chains disagree",))
    result = Result("LiH", lost, hartree_fock=-7.98, fractions={"stuck": 0.3}, steps=5, planned_steps=9,
                    notes=("cut",), observables={"cusps": ObservableEstimate(1.0, 0.1, caveats=("off",))})
    found = {check.name: check for check in facts.checks(result)}
    assert {name for name, check in found.items() if check.verdict == facts.DOUBT} == {
        "error bar", "random walk", "against other energies", "cusps"}
    said = [words for check in found.values() for words in check.words]
    assert sorted(said) == sorted([*result.caveats, "cut", "off"]) and len(result.caveats) == 3
    assert all(reason in facts.answer(result)[2] for reason in result.caveats)
    assert found["convergence"].verdict == facts.NOTE


@pytest.mark.parametrize(("above", "error", "words"), [
    (0.5e-3, 0.1e-3, "which is within chemical"), (3e-3, 0.1e-3, "more than chemical"), (1.5e-3, 0.5e-3, "leaves open"),
    (-3e-3, 0.1e-3, "below the published")])
def test_chemical_accuracy_is_claimed_only_where_the_error_bar_allows_it(above, error, words):
    reference = {"energy": -8.0, "uncertainty": 0.0, "kind": "exact", "source": "x"}
    result = Result("LiH", Estimate(-8.0 + above, error, 0.1, 1.0, 1.0, 100), reference)
    assert words in facts.answer(result)[1]


def test_settings_are_compared_with_the_preset_and_with_each_other():
    lih = nnqmc.molecule("LiH")
    plain, other = resolve(lih), resolve(lih, [Layer("test", {"train": {"steps": 7}, "optimizer": {"name": "adam"}})])
    assert facts.changed_settings(plain) == []
    changed = {name: values for name, *values in facts.changed_settings(other)}
    assert changed["train.steps"] == ["500", "7"] and changed["optimizer.name"] == ["spring", "adam"]
    assert changed["optimizer.damping"][1] == "-"
    assert ("train.steps", "500", "7") in facts.differing_settings([plain, other])


def test_the_command_writes_pages_and_compares_runs_in_a_table(tmp_path, monkeypatch, capsys, undrawn):
    monkeypatch.chdir(tmp_path)
    first, second = write_run(tmp_path / "one"), write_run(tmp_path / "two", evaluated=False)
    report([first], html="")
    assert f"page {first / 'report.html'}" in capsys.readouterr().out
    check_page((first / "report.html").read_text(encoding="utf-8"))
    report([first, second], html="both.html")
    out = capsys.readouterr().out
    assert re.search(r"^ one +LiH +-8\.0704\(2\) .* not converged +40 ", out, re.MULTILINE)
    assert re.search(r"^ two +LiH +no result yet ", out, re.MULTILINE) and "settings that differ: none" in out
    check_page((tmp_path / "both.html").read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=r"a page is called FILE\.html"):
        report([first], html=str(first / "result.json"))


def test_a_damaged_series_leaves_a_page_that_says_so(tmp_path):
    path = write_run(tmp_path / "lih")
    for name in ("train.h5", "evaluate.h5"):
        (path / name).write_bytes(b"damaged")
    page = check_page(of_one(opened(path)))
    assert page.tags.count("svg") == 0 and page.text.count("There is no figure") == 4
    assert "isn't a data file of nnqmc" in page.text and "8.0704(2) hartree" in page.text
