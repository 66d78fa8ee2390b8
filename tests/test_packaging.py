"""What is built holds what it must: the twistd plugin, the profiles, every room, each file of data.

Built from a copy of the checkout, without the network and without an isolated build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import imd

pytest.importorskip("setuptools", minversion="70.1", reason="needs a setuptools that makes wheels")

ROOT = Path(__file__).parent.parent
PLUGIN = "twisted/plugins/imd_plugin.py"
PROFILES = [f"imd/config/profiles/{name}.toml" for name in ("dev", "test", "prod")]
BACKEND = "from setuptools import build_meta; build_meta.build_{kind}({folder!r})"
_BESIDES = ("Makefile", "MANIFEST.in", "README.md", "CHANGELOG.md", "setup.cfg", "pyproject.toml")


def build(kind: str, source: Path, target: Path) -> Path:
    target.mkdir()
    program = BACKEND.format(kind=kind, folder=str(target))
    subprocess.run([sys.executable, "-c", program], cwd=source, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the repository holds of the package, links kept as links."""
    folder = tmp_path_factory.mktemp("source")
    skipped = shutil.ignore_patterns("__pycache__", "dropin.cache")
    for name in ("imd", "twisted", "etc", "newsfragments", ".ci"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=skipped)
    for name in _BESIDES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel") / "out")


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", source, tmp_path_factory.mktemp("sdist") / "out")


def package_files() -> set[str]:
    found = set()
    for path in (ROOT / "imd").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            found.add(str(path.relative_to(ROOT)))
    return found


def test_the_wheel_holds_the_plugin_and_every_file_of_imd(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {PLUGIN, *PROFILES} <= names
    assert package_files() - names == set()
    assert not [name for name in names if name.startswith("twisted/") and name != PLUGIN]
    assert not [name for name in names if name.startswith("tests")]


def test_the_sdist_holds_the_plugin_and_real_files_for_links(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2]: member for member in archive.getmembers()}
        etc = ("etc/imd/prod.toml", "etc/grafana/imd.json", "etc/prometheus/imd.rules.yml")
        for name in (PLUGIN, *PROFILES, *etc, "Makefile"):
            assert members[name].isreg() or members[name].islnk(), name
    assert package_files() - set(members) == set()


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        # Python 3.11.2 has no filters yet.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    second = build("wheel", unpacked, tmp_path / "out")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(second) as two:
        assert set(one.namelist()) == set(two.namelist())


def test_an_unpacked_wheel_loads_its_settings_and_shows_its_plugin(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "lib")
    program = (
        "import imd, imd.config as c; from twisted.plugin import getPlugins\n"
        "from twisted.application.service import IServiceMaker\n"
        "c.load('dev', None, None, {}, {})\n"
        "found = [p for p in getPlugins(IServiceMaker) if p.tapname == 'imd']\n"
        "print(imd.__file__, found[0].module)\n"
    )
    environment = {"PYTHONPATH": str(tmp_path / "lib"), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert run.stdout.split() == [str(tmp_path / "lib/imd/__init__.py"), "imd.service.tap"]


def test_twistd_of_this_environment_lists_imd(tmp_path: Path) -> None:
    twistd = Path(sys.executable).with_name("twistd")
    run = subprocess.run(
        [twistd, "--help"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "imd" in [line.split()[0] for line in run.stdout.splitlines() if line.strip()]


def test_the_version_stands_in_one_place(wheel: Path) -> None:
    assert wheel.name.startswith(f"imd-{imd.__version__}-")
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text()).get("project", {})
    assert "version = attr: imd.__version__" in (ROOT / "setup.cfg").read_text()


def test_plugin_folders_are_no_packages() -> None:
    assert not (ROOT / "twisted/__init__.py").exists()
    assert not (ROOT / "twisted/plugins/__init__.py").exists()
