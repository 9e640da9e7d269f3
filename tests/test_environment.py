"""pyproject.toml, constraints.txt, environment.yml and the Colab stack speak of the same packages and versions."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(name: str) -> dict:
    """{package: version} of a requirements file of pins; fails on any line that is not one."""
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(r.specifier) == 1 and str(r.specifier).startswith("==") for r in requirements), name
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


DECLARED = [
    Requirement(line) for line in PROJECT["dependencies"] + [line for group in EXTRAS.values() for line in group]
]


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_every_dependency_is_pinned_at_a_version_it_allows(requirement):
    assert requirement.specifier.contains(pins("constraints.txt")[canonicalize_name(requirement.name)])


def test_torch_is_pinned_without_a_build():
    assert pins("constraints.txt")["torch"] == "2.13.0"


def test_what_is_installed_here_is_what_was_pinned():
    """`make test` on other versions than the pinned ones would prove nothing about those."""
    wrong = {}
    for name, version in pins("constraints.txt").items():
        try:
            installed = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # a dependency of another platform, or of an extra that is not installed
        if installed != version:
            wrong[name] = f"{installed} instead of {version}"
    assert wrong == {}


def test_the_conda_environment_is_in_step():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    conda = {Requirement(line).name: Requirement(line).specifier for line in conda}
    assert set(conda) == {"python", "jupyterlab", "pip"}
    assert conda["python"] == SpecifierSet(PROJECT["requires-python"])
    assert conda["jupyterlab"] == SpecifierSet("==" + pins("constraints.txt")["jupyterlab"])
    constraint, ours = pip["pip"]
    assert constraint == "-c constraints.txt"
    assert Requirement("kit" + ours.removeprefix("-e .")).extras == set(EXTRAS) - {"bench"}


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_a_colab_runtime_meets_every_floor(line):
    """Otherwise the setup cell, which installs the kit alone, would leave it with too old a library."""
    requirement = Requirement(line)
    assert requirement.specifier.contains(pins("tests/colab/requirements.txt")[canonicalize_name(requirement.name)])
