"""The 85 papers: counts, keys, identifiers that agree with their years, and the state read from stored results."""

import re

import pytest

from rlkit import claims, declarations, papers, paths


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small checkout of its own, entered: pyproject.toml, rlkit/, notebooks/, data/results/."""
    for folder in ("rlkit", "notebooks/01_bandits", "data/results"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)  # there a verdict is compared with the stored one
    return tmp_path


def test_there_are_85_papers_numbered_from_1_to_85_with_unique_hyphenated_keys():
    assert [paper.number for paper in papers.PAPERS] == list(range(1, 86))
    keys = [paper.key for paper in papers.PAPERS]
    assert len(set(keys)) == 85
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)


def test_titles_and_short_names_are_unique_and_trimmed():
    for field in ("title", "short"):
        values = [getattr(paper, field) for paper in papers.PAPERS]
        assert len(set(values)) == 85
        assert all(value == " ".join(value.split()) and len(value) >= 2 for value in values)


def test_every_chapter_is_a_number_and_a_name_and_all_fourteen_are_used():
    names = {f"{number:02d} {name}" for number, name in papers.CHAPTERS.items()}
    assert {paper.chapter for paper in papers.PAPERS} == names
    assert sorted(papers.CHAPTERS) == list(range(1, 15))


def test_the_chapters_hold_as_many_papers_as_the_atlas_says():
    sizes = [sum(paper.chapter.startswith(f"{n:02d} ") for paper in papers.PAPERS) for n in range(1, 15)]
    assert sizes == [1, 5, 12, 9, 10, 3, 8, 12, 4, 8, 4, 6, 2, 1]


def test_arxiv_identifiers_are_unique_well_formed_and_agree_with_the_year():
    identifiers = [paper.arxiv for paper in papers.PAPERS if paper.arxiv is not None]
    assert len(set(identifiers)) == len(identifiers) >= 80
    for paper in papers.PAPERS:
        assert 2018 <= paper.year <= 2026
        if paper.arxiv is not None:
            assert re.fullmatch(r"\d{2}(0[1-9]|1[0-2])\.\d{5}", paper.arxiv), paper
            assert paper.year == 2000 + int(paper.arxiv[:2]), paper


def test_find_returns_the_paper_with_the_key():
    paper = papers.find("pessimism-lcb")
    assert (paper.number, paper.short, paper.year, paper.chapter) == (71, "LCB", 2021, "01 bandits")
    assert paper.title == "Bridging Offline Reinforcement Learning and Imitation Learning: A Tale of Pessimism"


@pytest.mark.parametrize(
    ("key", "near"),
    [("pesimism-lcb", "pessimism-lcb"), ("limit_of_rlvr", "limit-of-rlvr"), ("LCB", "pessimism-lcb"),
     ("Tale of Pessimism", "pessimism-lcb"), ("NSR", "nsr")],
)  # fmt: skip
def test_find_lists_the_nearest_keys_in_one_line(key, near):
    with pytest.raises(ValueError, match=r"must be a paper's key \(near it: ") as error:
        papers.find(key)
    assert near in str(error.value) and repr(key) in str(error.value)


@pytest.mark.parametrize("key", ["", None, 71, "qqqq\nqqqq", "x" * 10_000, ["nsr"]])
def test_find_answers_nonsense_in_one_short_line(key):
    with pytest.raises(ValueError, match="must be a paper's key") as error:
        papers.find(key)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_the_table_has_one_row_per_paper_and_the_promised_columns(checkout):
    frame = papers.table()
    assert list(frame.columns) == ["number", "key", "title", "year", "chapter", "state"]
    assert len(frame) == 85 and frame["number"].is_monotonic_increasing
    assert set(frame["state"]) == {"not yet built"}


def test_the_state_is_the_stored_verdict(checkout):
    clause = claims.Clause("sum", "the gradient sums to 0", ("within", -1e-9, 1e-9), lemma=True)
    claim = claims.Claim("nsr", "a lemma", (clause,), arms=("one",), budget={}, grid={}, seeds=(0,))
    for value, words in ((0.0, "certified"), (1.0, claim.verdict({"sum": 1.0}).outcome)):
        stored = claim.verdict({"sum": value}).record()
        declarations.write(checkout / "data/results/nsr.json", declarations.RESULT, stored)
        frame = papers.table().set_index("key")
        assert frame.loc["nsr", "state"] == papers.find("nsr").state == words
        assert frame.loc["prorl", "state"] == "not yet built"
    assert words.startswith("not ")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"verdict": 3}', '"verdict"'])
def test_a_damaged_result_is_named_in_the_table_instead_of_breaking_it(checkout, text):
    (checkout / "data/results/nsr.json").write_text(text)
    frame = papers.table().set_index("key")
    assert frame.loc["nsr", "state"] == "unreadable: data/results/nsr.json"


def test_the_notebook_is_found_by_chapter_and_key_from_the_moment_it_exists(checkout):
    paper = papers.find("pessimism-lcb")
    assert paper.notebook is None
    (checkout / "notebooks/01_bandits/pessimism_lcb.ipynb").write_text("{}")
    assert paper.notebook == "notebooks/01_bandits/pessimism_lcb.ipynb"
    (checkout / "notebooks/01_bandits/nsr.ipynb").write_text("{}")
    assert papers.find("nsr").notebook is None  # nsr belongs to chapter 09


def test_the_notebook_of_a_paper_may_be_the_chapters_own_and_measure_agrees(checkout):
    from rlkit import measure

    folder = checkout / "notebooks" / "05_model_based"
    folder.mkdir(parents=True)
    assert papers.find("mbrl-survey").notebook is None
    (folder / "00_model_based.ipynb").write_text("{}")
    assert papers.find("mbrl-survey").notebook == "notebooks/05_model_based/00_model_based.ipynb"
    assert measure.notebook("mbrl-survey") == folder / "00_model_based.ipynb"


def test_without_a_checkout_there_is_no_notebook(monkeypatch):
    monkeypatch.setattr(paths, "repository", lambda: None)
    assert papers.find("pessimism-lcb").notebook is None


def test_every_notebook_of_this_checkout_that_is_no_chapter_walk_and_no_guide_belongs_to_a_paper():
    root, other = paths.repository(), ("00_", "qlora_")
    files = [path for path in root.glob("notebooks/[0-9][0-9]_*/*.ipynb") if not path.name.startswith(other)]
    known = {paper.notebook for paper in papers.PAPERS}
    assert {path.relative_to(root).as_posix() for path in files} <= known
