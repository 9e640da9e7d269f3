"""Write the shared cells into every notebook: the Colab badge of its own path, and the setup cell.

Run it with `make badges` after you set the slug, add a notebook, or save one from JupyterLab: it also takes out
outputs, execution counts and widget state, which are never committed. It changes nothing else, and says what it did.
"""

import nbformat

from tests.notebooks import template


def stamp(notebook, path) -> None:
    """Bring one notebook (a nbformat node, changed in place) up to the template of its path."""
    title = notebook.cells[0]
    lines = title.source.split("\n")
    where = next((i for i, line in enumerate(lines) if line.startswith(template.BADGE)), None)
    if where is None:
        lines[1:1] = ["", template.badge(path)]
    else:
        lines[where] = template.badge(path)
    title.source = "\n".join(lines)
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = template.setup_cell()
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    notebook.metadata.pop("widgets", None)


def main() -> None:
    for path in template.notebooks():
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        stamp(notebook, path)
        after = nbformat.writes(notebook) + "\n"
        if after != before:
            path.write_text(after, encoding="utf-8")
        print("unchanged" if after == before else "written  ", path.relative_to(template.ROOT))


if __name__ == "__main__":
    main()
