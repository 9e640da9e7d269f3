"""Every rule of a verdict by hand-made intervals, and the whole way through git, files, lanes and CI."""

import dataclasses
import html.parser
import json
import re
import subprocess

import pytest

from rlkit import cards, claims, verdicts
from rlkit.claims import CERTIFIED, INCONCLUSIVE, OPPOSITE, REPRODUCED, SMALLER, Claim, Clause
from rlkit.stats import Interval


def interval(low, high, estimate=None, seeds=10):
    return Interval((low + high) / 2 if estimate is None else estimate, low, high, 0.95, seeds, 10_000)


def make(key="tiny-paper", margin=0.1, seeds=range(10), **changes):
    clauses = (
        Clause("gain", "the method earns more than the baseline", "greater", margin, unit="reward"),
        Clause("rate", "the error decays like 1/sqrt(N)", ("within", -0.65, -0.35), primary=False),
    )
    fields = {"statement": "The method beats the baseline", "clauses": clauses, "arms": ("method", "baseline")}
    fields |= {"budget": {"steps": 1000}, "grid": {"N": [100, 1000]}, "seeds": tuple(seeds)}
    return Claim(key, **{**fields, **changes})


def estimates(low=0.2, high=0.4, seeds=10):
    return {"gain": interval(low, high, seeds=seeds), "rate": interval(-0.6, -0.4, seeds=seeds)}


def git(folder, *arguments):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty repository, so that nothing is written into the real one; the slice lane, outside CI."""
    (tmp_path / "pyproject.toml").write_text("")
    for folder in ("rlkit", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".gitignore").write_text("build/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Start")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("RLKIT_LANE", raising=False)
    return tmp_path


def declare(claim, checkout, reason=None):
    claim.declare(reason)
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "Declare")
    return git(checkout, "rev-parse", "HEAD")


# ---- the rule


@pytest.mark.parametrize(
    ("direction", "margin", "low", "high", "outcome"),
    [
        ("greater", 0.1, 0.11, 0.5, REPRODUCED),
        ("greater", 0.1, 0.10, 0.5, SMALLER),  # touching the margin is not beyond it
        ("greater", 0.1, 0.01, 0.5, SMALLER),
        ("greater", 0.1, 0.01, 0.05, SMALLER),
        ("greater", 0.1, 0.0, 0.5, INCONCLUSIVE),
        ("greater", 0.1, -0.2, 0.5, INCONCLUSIVE),
        ("greater", 0.1, -0.2, -0.01, OPPOSITE),
        ("greater", -0.1, -0.05, 0.3, REPRODUCED),  # "at most 0.1 worse"
        ("greater", -0.1, -0.15, 0.3, INCONCLUSIVE),
        ("greater", -0.1, -0.3, -0.15, OPPOSITE),
        ("less", -0.9, -1.5, -0.91, REPRODUCED),
        ("less", -0.9, -1.5, -0.5, SMALLER),
        ("less", -0.9, -1.5, 0.1, INCONCLUSIVE),
        ("less", -0.9, 0.1, 0.3, OPPOSITE),
        ("less", 0.03, 0.0, 0.02, REPRODUCED),
        ("less", 0.03, 0.01, 0.05, INCONCLUSIVE),
        ("less", 0.03, 0.04, 0.05, OPPOSITE),
        (("within", -0.65, -0.35), 0, -0.6, -0.4, REPRODUCED),
        (("within", -0.65, -0.35), 0, -0.7, -0.4, INCONCLUSIVE),
        (("within", -0.65, -0.35), 0, -0.3, -0.1, SMALLER),
        (("within", -0.65, -0.35), 0, -0.3, 0.1, OPPOSITE),
        (("within", -0.65, -0.35), 0, 0.1, 0.3, OPPOSITE),
        (("within", -0.65, -0.35), 0, -1.2, -0.7, OPPOSITE),
        (("within", -0.65, -0.35), 0, -0.9, -0.1, INCONCLUSIVE),
        (("within", 0.35, 0.65), 0, 0.1, 0.3, SMALLER),
        (("within", 0.35, 0.65), 0, 0.7, 0.8, OPPOSITE),
        (("within", -0.02, 0.02), 0, -0.01, 0.01, REPRODUCED),
        (("within", -0.02, 0.02), 0, 0.01, 0.03, INCONCLUSIVE),
        (("within", -0.02, 0.02), 0, 0.03, 0.05, OPPOSITE),
    ],
)
def test_each_interval_gets_the_verdict_that_the_rule_says(direction, margin, low, high, outcome):
    assert Clause("effect", "it works", direction, margin).judge(low, high) == outcome


def test_less_is_greater_seen_in_a_mirror():
    grid = [x / 10 for x in range(-6, 7)]
    for margin, low, high in ((m, a, b) for m in grid for a in grid for b in grid if a <= b):
        greater = Clause("effect", "it works", "greater", margin).judge(low, high)
        assert Clause("effect", "it works", "less", -margin).judge(-high, -low) == greater


def test_the_headline_is_the_worst_primary_clause():
    assert claims.verdicts.headline([REPRODUCED, REPRODUCED]) == REPRODUCED
    assert claims.verdicts.headline([REPRODUCED, CERTIFIED]) == REPRODUCED
    assert claims.verdicts.headline([CERTIFIED, CERTIFIED]) == CERTIFIED
    assert claims.verdicts.headline([REPRODUCED, SMALLER]) == SMALLER
    assert claims.verdicts.headline([SMALLER, INCONCLUSIVE, REPRODUCED]) == INCONCLUSIVE
    assert claims.verdicts.headline([INCONCLUSIVE, OPPOSITE, SMALLER]) == OPPOSITE


def test_a_secondary_clause_does_not_move_the_headline(checkout):
    verdict = make().verdict({"gain": interval(0.2, 0.4), "rate": interval(0.1, 0.2)})
    assert verdict.outcome == REPRODUCED
    assert [finding.outcome for finding in verdict.findings] == [REPRODUCED, OPPOSITE]


def test_a_lemma_is_certified_from_one_exact_number_and_only_a_lemma_may_do_without_an_interval(checkout):
    claim = make(clauses=(Clause("identity", "both gradients agree", "less", 1e-9, lemma=True),))
    assert claim.verdict({"identity": 0.0}).outcome == CERTIFIED
    assert claim.verdict({"identity": 0.5}).outcome == OPPOSITE
    assert "exact" in claim.verdict({"identity": 0.0}).to_text()
    with pytest.raises(ValueError, match=r"estimates\['gain'\]=0.3: must be an Interval"):
        make().verdict({"gain": 0.3, "rate": interval(-0.6, -0.4)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "it works", "greater"), "name='': must be some text"),
        (("a", "it works", "bigger"), "direction='bigger': must be 'greater', 'less' or"),
        (("a", "it works", ("within", 2, 1)), "direction=.*with lo < hi"),
        (("a", "it works", ("within", 0, 1), 0.5), "and margin 0"),
        (("a", "it works", "greater", float("nan")), "margin=nan: must be finite"),
    ],
)
def test_clauses_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        Clause(*arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "../escape"}, "key='../escape': must be lower-case words"),
        ({"key": "Under_Score"}, "key='Under_Score'"),
        ({"clauses": ()}, "at least one of them primary"),
        ({"clauses": (Clause("a", "x", "less"), Clause("a", "y", "less"))}, "different names"),
        ({"seeds": (1, 2.5)}, "seed=2.5"),
    ],
)
def test_claims_are_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
    with pytest.raises(TypeError, match="cannot be stored"):
        make(grid={"policy": object()})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gain": interval(0, 1)}, r"estimates=\['gain'\]: must be exactly \['gain', 'rate'\]"),
        ({"gain": interval(float("nan"), 1), "rate": interval(0, 1)}, r"estimates\['gain'\]\[.\]=nan: must be finite"),
        ({"gain": interval(0, 1)._replace(level=0.9), "rate": interval(0, 1)}, "at level 0.95"),
        ({"gain": interval(1, 0), "rate": interval(0, 1)}, "low <= high"),
    ],
)
def test_estimates_are_refused_in_one_line(checkout, given, message):
    with pytest.raises(ValueError, match=message):
        make().verdict(given)


# ---- declared before it is measured


def test_a_declared_claim_changes_only_for_a_reason_and_keeps_its_history(checkout):
    file = make().declare()
    before = file.read_text()
    assert make().declare() == file and file.read_text() == before  # the same claim again changes nothing
    with pytest.raises(ValueError, match=r"clause 'gain', margin: 0.1, now 0.05: must give declare\(reason"):
        make(margin=0.05).declare()
    assert file.read_text() == before
    make(margin=0.05).declare(reason="the paper's table says 0.05")
    record = json.loads(file.read_text())
    assert record["claim"]["clauses"][0]["margin"] == 0.05
    (entry,) = record["history"]
    assert entry["reason"] == "the paper's table says 0.05" and entry["changed"] == [
        "clause 'gain', margin: 0.1, now 0.05"
    ]
    assert entry["replaced"] == make().record() and entry["date"][:2] == "20"
    make(margin=0.06).declare(reason="again")
    assert [e["reason"] for e in json.loads(file.read_text())["history"]] == ["the paper's table says 0.05", "again"]


def test_a_claim_that_differs_from_the_declared_one_is_refused_by_name_or_says_why_on_the_card(checkout):
    declare(make(), checkout)
    changed = make(margin=0.05, budget={"steps": 5})
    with pytest.raises(ValueError, match=r"budget: .*steps.*; clause 'gain', margin: 0.1, now 0.05") as caught:
        changed.verdict(estimates())
    assert "\n" not in str(caught.value)
    verdict = changed.verdict(estimates(), reason="trying a smaller margin")
    for card in (verdict.to_text(), verdict.to_html()):
        assert "trying a smaller margin" in card and "margin: 0.1, now 0.05" in card
    assert make().verdict(estimates()).reason is None


def test_a_slice_with_fewer_seeds_than_declared_is_the_same_claim_and_the_card_says_how_few(checkout):
    commit = declare(make(), checkout)
    verdict = make().verdict(estimates(seeds=3))
    assert verdict.declared == commit and verdict.lane == "slice" and verdict.reason is None
    for card in (verdict.to_text(), verdict.to_html()):
        assert "3 of the 10 declared seeds" in card and "fewer than 5 seeds" in card and commit[:10] in card
    assert "fewer than 5" not in make().verdict(estimates(seeds=5)).to_text()


def test_the_declaring_commit_is_the_claims_own_not_the_newest(checkout):
    commit = declare(make(), checkout)
    (checkout / "other.txt").write_text("later")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "Later")
    assert make().verdict(estimates()).declared == commit
    make(margin=0.2).declare(reason="edited, not committed")
    assert make(margin=0.2).verdict(estimates()).declared is None


def test_outside_git_the_commit_is_remembered_by_the_stored_result(checkout, monkeypatch):
    commit = declare(make(), checkout)
    monkeypatch.setenv("RLKIT_LANE", "full")
    make().verdict(estimates())
    monkeypatch.delenv("RLKIT_LANE")
    (checkout / ".git").rename(checkout / "no-longer-git")
    assert make().verdict(estimates()).declared == commit


# ---- lanes


def test_only_the_full_lane_writes_the_stored_result_and_it_reads_back_equal(checkout, monkeypatch):
    commit = declare(make(), checkout)
    make().verdict(estimates())
    assert not (checkout / "data" / "results").exists() and claims.stored("tiny-paper") is None
    monkeypatch.setenv("RLKIT_LANE", "full")
    verdict = make().verdict(estimates(), cpu_seconds=12.34)
    file = checkout / "data" / "results" / "tiny-paper.json"
    record = json.loads(file.read_text())
    assert record["verdict"] == REPRODUCED and record["lane"] == "full" and record["cpu_seconds"] == 12.3
    assert record["git"]["commit"] == commit and record["declared"] == commit and record["versions"]["numpy"]
    first = record["results"][0]
    assert (first["estimate"], first["low"], first["high"], first["margin"]) == (pytest.approx(0.3), 0.2, 0.4, 0.1)
    assert first["seeds"] == 10 and first["replicates"] == 10_000
    assert str(checkout) not in file.read_text() and [p.name for p in file.parent.iterdir()] == ["tiny-paper.json"]
    back = claims.stored("tiny-paper")
    assert back.record() == verdict.record() and back.outcome == REPRODUCED


def test_the_full_lane_refuses_a_claim_that_is_not_committed_or_not_on_all_its_seeds(checkout, monkeypatch):
    monkeypatch.setenv("RLKIT_LANE", "full")
    with pytest.raises(ValueError, match="is not committed"):
        make().verdict(estimates())
    make().declare()
    with pytest.raises(ValueError, match="is not committed"):
        make().verdict(estimates())
    declare(make(), checkout)
    with pytest.raises(ValueError, match="7 seeds measured, 10 declared"):
        make().verdict(estimates(seeds=7))
    assert not (checkout / "data" / "results").exists()
    assert "7 seeds measured" in make().verdict(estimates(seeds=7), reason="three seeds diverged").to_text()


def test_full_run_and_live_slice_stand_labelled_on_one_card(checkout, monkeypatch):
    declare(make(), checkout)
    monkeypatch.setenv("RLKIT_LANE", "full")
    make().verdict(estimates(0.2, 0.4))
    monkeypatch.setenv("RLKIT_LANE", "slice")
    verdict = make().verdict(estimates(-0.1, 0.5, seeds=3))
    text = verdict.to_text()
    assert f"full run: {REPRODUCED}" in text and f"live slice: {INCONCLUSIVE}" in text
    page = verdict.to_html()
    assert page.count("<svg") == 2 and page.count("<circle") == 4
    assert page.count("full run") >= 2 and page.count("live slice") >= 2
    monkeypatch.setenv("RLKIT_LANE", "medium")
    with pytest.raises(ValueError, match="RLKIT_LANE='medium': must be one of 'slice', 'full'"):
        make().verdict(estimates())


@pytest.mark.parametrize(
    ("live", "full", "words"),
    [
        ((0.1, 0.5), (0.2, 0.4), None),
        ((-0.3, 0.1), (0.2, 0.4), "opposite sign"),
        ((-0.1, 0.3), (-0.4, -0.2), "opposite sign"),
        ((-0.3, 0.1), (-0.05, 0.4), None),  # the stored interval has no sign to contradict
        ((0.5, 0.6), (0.2, 0.4), "0.15 outside the stored interval [0.2, 0.4], more than its own half-width 0.05"),
        ((0.44, 0.56), (0.2, 0.4), "0.1 outside the stored interval [0.2, 0.4], more than its own half-width 0.06"),
        ((0.4, 0.6), (0.2, 0.4), None),  # outside by exactly its half-width
        ((0.05, 0.15), (0.2, 0.4), "outside the stored interval"),
    ],
)
def test_a_slice_contradicts_by_sign_or_by_more_than_its_own_half_width(live, full, words):
    found = verdicts.contradicts(interval(*live), interval(*full))
    assert found is None if words is None else words in found


def test_in_ci_a_slice_goes_to_build_and_a_contradiction_fails(checkout, monkeypatch, capsys):
    declare(make(), checkout)
    monkeypatch.setenv("CI", "true")
    make().verdict(estimates())
    assert "not compared with a full run: none is stored" in capsys.readouterr().out
    monkeypatch.setenv("RLKIT_LANE", "full")
    make().verdict(estimates(0.2, 0.4))
    stored = (checkout / "data" / "results" / "tiny-paper.json").read_text()
    monkeypatch.setenv("RLKIT_LANE", "slice")
    make().verdict(estimates(0.1, 0.5, seeds=3))
    flip = f"tiny-paper, gain: borderline: the slice says {SMALLER}, the full run {REPRODUCED}"
    assert flip in capsys.readouterr().out
    with pytest.raises(AssertionError, match=r"tiny-paper, gain: estimate -0\.3 has the opposite sign"):
        make().verdict(estimates(-0.4, -0.2, seeds=3))
    built = json.loads((checkout / "build" / "results" / "tiny-paper.json").read_text())
    assert built["lane"] == "slice" and built["results"][0]["low"] == -0.4  # written before it fails
    assert (checkout / "data" / "results" / "tiny-paper.json").read_text() == stored
    monkeypatch.delenv("CI")
    assert make().verdict(estimates(-0.4, -0.2)).outcome == OPPOSITE  # a reader may see what a reader sees


# ---- the card


def test_cards_escape_what_they_show_and_are_well_formed(checkout):
    attack = '<script>alert("x")</script>'
    clauses = (Clause("gain", attack, "greater", 0.1, unit=attack), Clause("<b>", attack, "less", lemma=True))
    verdict = make(statement=attack, clauses=clauses).verdict({"gain": interval(0, 1), "<b>": -1.0})
    page = verdict.to_html()
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4 and verdict._repr_html_() == page

    class Balance(html.parser.HTMLParser):
        open_tags = ()

        def handle_startendtag(self, tag, attributes):
            pass  # <rect .../> opens and closes itself

        def handle_starttag(self, tag, attributes):
            if tag != "br":
                self.open_tags += (tag,)

        def handle_endtag(self, tag):
            assert self.open_tags[-1] == tag
            self.open_tags = self.open_tags[:-1]

    parser = Balance()
    parser.feed(page)
    assert parser.open_tags == ()
    assert repr(verdict) == verdict.to_text()


def test_the_picture_has_a_text_twin_and_takes_its_colour_from_the_page(checkout):
    page = make().verdict(estimates()).to_html()
    assert 'role="img"' in page and "claimed: &gt; 0.1 reward" in page
    assert "estimate 0.30, interval 0.20 to 0.40" in page
    picture = page[page.index("<svg") : page.index("</svg>")]
    assert "currentColor" in picture and "#" not in picture
    for cell in ("0.30", "0.20 to 0.40", "\u22120.60 to \u22120.40", REPRODUCED):
        assert f">{cell}</td>" in page


def test_every_mark_of_the_picture_stays_inside_it(checkout):
    for low, high in ((0.2, 0.4), (-5e6, 3e6), (0.0, 0.0), (1e-9, 2e-9)):
        claim = make(clauses=(Clause("gain", "more", "greater", 0.0),))
        page = claim.verdict({"gain": interval(low, high)}).to_html()
        places = [float(part.split('"')[0]) for name in (' x1="', ' x2="', ' cx="') for part in page.split(name)[1:]]
        assert places and min(places) >= 0 and max(places) <= 440


def test_bounds_that_lie_close_together_are_labelled_side_by_side(checkout):
    """Seen on a card: "-0.02" and "0.02" printed over each other."""
    clause = Clause("gap", "none", ("within", -0.02, 0.02))
    for high, anchors in ((0.4, ["end", "start"]), (0.03, ["middle", "middle"])):
        page = make(clauses=(clause,)).verdict({"gap": interval(-0.01, high)}).to_html()
        assert re.findall(r'text-anchor="(\w+)">(?:\u2212)?0\.02</text>', page) == anchors


def test_a_number_that_rounds_to_zero_has_no_sign():
    assert cards.number(-0.0004, 0.05) == "0.000" and cards.number(-0.004, 0.05) == "\u22120.004"


# ---- files that are not what they should be


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "rlkit-res', "line 1: not JSON"),
        ("[1, 2]", "its format is not 'rlkit-result'"),
        ('{"format": "rlkit-result", "version": 9}', "format version 9; this rlkit reads version 1"),
        ('{"format": "rlkit-result", "version": 1}', "it holds no claim"),
        ('{"format": "rlkit-result", "version": 1, "claim": {"clauses": []}}', "not a verdict of rlkit"),
    ],
)
def test_a_foreign_or_truncated_result_is_named_with_its_file(checkout, content, message):
    file = checkout / "data" / "results" / "tiny-paper.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        claims.stored("tiny-paper")
    assert "tiny-paper.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_result_whose_verdict_was_edited_by_hand_is_refused(checkout, monkeypatch):
    declare(make(), checkout)
    monkeypatch.setenv("RLKIT_LANE", "full")
    make().verdict(estimates(0.05, 0.4))
    file = checkout / "data" / "results" / "tiny-paper.json"
    file.write_text(file.read_text().replace(SMALLER, REPRODUCED))
    with pytest.raises(ValueError, match="its intervals say 'not reproduced: smaller than claimed'"):
        claims.stored("tiny-paper")


def test_claims_are_frozen_and_equal_by_content():
    assert make() == make() and make() != make(margin=0.2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().key = "other"


def test_a_declared_claim_is_read_back_whole_and_an_undeclared_one_is_named():
    claim = claims.declared("pessimism-lcb")
    assert isinstance(claim, Claim) and claim.key == "pessimism-lcb" and len(claim.seeds) == 10
    assert isinstance(claim.clauses[0], Clause) and claim.clauses[2].direction == ("within", -0.65, -0.35)
    for key in ("never-declared", "../results/x", 3):
        with pytest.raises(ValueError, match=r"^key=.*: must be "):
            claims.declared(key)


def test_a_narrow_interval_is_not_rounded_into_its_own_estimate():
    assert cards.measured(Interval(1.0966, 1.0949, 1.0977, 0.95, 10, 1)) == ("1.0966", "1.0949 to 1.0977")
    assert cards.measured(Interval(0.12, 0.114, 0.126, 0.95, 10, 1)) == ("0.120", "0.114 to 0.126")
    assert cards.measured(Interval(5321.4, 4000.0, 6000.0, 0.95, 10, 1))[0] == "5.32e3"
    assert cards.measured(Interval(2.0, 2.0, 2.0, 0.95, 10, 1)) == ("2", "2 to 2")
