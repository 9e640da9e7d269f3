"""RunTable and PapersTable: what there is, as tables that one can filter and choose from."""

import ipywidgets as widgets

from rlkit import checks, papers, paths
from rlkit.html import table
from rlkit.runs import Run
from rlkit.widgets import show, svg
from rlkit.widgets.curves import RewardCurves

RUN_COLUMNS = ("run", "state", "last step", "seeds", "last values (mean over seeds)", "created")
PAPER_COLUMNS = ("no.", "key", "paper", "year", "chapter", "state", "notebook")
_ALL = "all"


def find_runs(root="runs") -> tuple[dict[str, Run], dict[str, str]]:
    """The runs in a folder, newest first, and what could not be read: ({name: Run}, {name: one-line error}).

    root: relative to the repository, else the working folder. A folder that only holds runs (runs/measure) is looked
    into. Raises ValueError if root is a file.
    """
    folder = paths.home() / root
    if folder.exists() and not folder.is_dir():
        checks.fail("root", str(root), "a folder")
    found, errors = {}, {}
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if not path.is_dir():
            continue
        inner = [] if (path / "run.json").exists() else sorted(file.parent for file in path.glob("*/run.json"))
        for run in inner or [path]:
            name = run.relative_to(folder).as_posix()
            try:
                found[name] = Run.load(run)
            except (ValueError, OSError) as error:
                errors[name] = " ".join(str(error).replace(str(run), name).split())
    newest = sorted(found, key=lambda name: str(found[name].meta["created"]), reverse=True)
    return {name: found[name] for name in newest}, errors


def describe(name: str, run: Run) -> tuple:
    """One row of the table of runs: the last mean over seeds of its first three metrics."""
    lasts = []
    for metric in [m for m in run.metric_names if not m.endswith("_se")][:3]:
        values = run.series(metric)[1][-1]
        lasts.append(f"{svg.short(metric)} {svg.number(float(values.mean()))}")
    seeds = len(run.seeds) if run.seeds else "–"
    step = "–" if run.last_step is None else f"{run.last_step:,}"
    created = svg.short(str(run.meta["created"])[:16].replace("T", " "))
    return (svg.short(name, 60), run.state, step, seeds, "; ".join(lasts) or "nothing logged", created)


class RunTable:
    """The runs of a folder: name, state, steps, seeds, last values; choose some to see their curves.

    root: as for Run.create. What cannot be read is listed with its error. `box` is the widget, `to_html()` the table.
    """

    def __init__(self, root="runs"):
        self.root, self.curves = root, None
        self.choice = show.labelled(widgets.SelectMultiple, "show curves of", layout={"width": "420px"})
        self.refresh = show.button("Refresh", self._read, "Look for runs again", "rlkit-refresh")
        self.table, self.place = widgets.HTML(), widgets.VBox()
        self.box = widgets.VBox([show.row(self.choice, self.refresh), self.table, self.place])
        self.box.add_class("rlkit-runs")
        self.choice.observe(lambda _: self._show(), "value")
        self._read()

    def _read(self) -> None:
        found, self.errors = find_runs(self.root)
        self.runs, self._rows = {}, []
        for name, run in found.items():
            try:
                self._rows.append(describe(name, run))
                self.runs[name] = run
            except (ValueError, TypeError, OSError) as error:  # records that load but are no numbers
                self.errors[name] = " ".join(str(error).split())
        self.choice.value = ()
        self.choice.options = [(svg.short(name, 60), name) for name in self.runs]
        self.choice.rows = min(6, max(2, len(self.runs)))
        self.table.value = show.scroll(self._page(), "Runs")

    def _show(self) -> None:
        if self.curves is not None:
            self.curves.close()
            show.discard(self.curves.box)
        chosen = [self.runs[name] for name in self.choice.value]
        self.curves = RewardCurves(*chosen) if chosen else None
        self.place.children = (self.curves.box,) if chosen else ()

    def _page(self) -> str:
        page = table(RUN_COLUMNS, self._rows, f"{len(self.runs)} runs in {svg.short(self.root, 200)}")
        if self.errors:
            broken = [(svg.short(name, 60), svg.short(error, 300)) for name, error in self.errors.items()]
            page += table(("folder", "why it is not shown"), broken, "Not readable")
        return page

    def to_html(self) -> str:
        """The table without a kernel, as one HTML fragment."""
        return f"<div>{self._page()}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(
            self.box, self.to_html(), f"RunTable: {len(self.runs)} runs, {len(self.errors)} not readable"
        )


class PapersTable:
    """The papers and how far each is: filter by chapter, by state and by words in key, name, title, year or arXiv id.

    `box` is the widget, `to_html()` the table as filtered, rlkit.papers.table() the same as a DataFrame.
    """

    def __init__(self):
        self._papers = [(paper, paper.state) for paper in papers.PAPERS]
        self._papers.sort(key=lambda row: row[0].notebook is None)  # what can be opened comes first
        states = list(dict.fromkeys(state for _, state in self._papers))
        chapters = sorted({paper.chapter for paper, _ in self._papers})
        self.chapter = show.labelled(widgets.Dropdown, "chapter", options=[_ALL, *chapters], layout={"width": "330px"})
        options = [(_ALL, _ALL)] + [(svg.short(state, 60), state) for state in states]
        self.state = show.labelled(widgets.Dropdown, "state", options=options, layout={"width": "260px"})
        self.words = show.labelled(widgets.Text, "find", placeholder="words in the title", layout={"width": "260px"})
        self.table = widgets.HTML()
        self.box = widgets.VBox([show.row(self.chapter, self.state, self.words), self.table])
        self.box.add_class("rlkit-papers")
        for control in (self.chapter, self.state, self.words):
            control.observe(lambda _: self._draw(), "value")
        self._draw()

    def shown(self) -> list:
        """The papers that pass the filter, those with a notebook first."""
        return [paper for paper, _ in self._chosen()]

    def _chosen(self) -> list:
        words = self.words.value.lower().split()
        return [
            (paper, state)
            for paper, state in self._papers
            if self.chapter.value in (_ALL, paper.chapter)
            and self.state.value in (_ALL, state)
            and all(
                word in f"{paper.key} {paper.short} {paper.title} {paper.year} {paper.arxiv}".lower() for word in words
            )
        ]

    def _page(self) -> str:
        rows = [(p.number, p.key, p.title, p.year, p.chapter, state, p.notebook or "–") for p, state in self._chosen()]
        return table(PAPER_COLUMNS, rows, f"{len(rows)} of {len(self._papers)} papers (the list scrolls)")

    def _draw(self) -> None:
        self.table.value = show.scroll(self._page(), "Papers")

    def to_html(self) -> str:
        """The table as filtered, without a kernel."""
        return f"<div>{self._page()}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        lines = [f"{p.number:3} {p.key:24} {p.year} {state}" for p, state in self._chosen()]
        return show.bundle(self.box, self.to_html(), "\n".join(lines))
