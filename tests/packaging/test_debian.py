"""What the Debian package promises, read before it is built; ``make deb-test`` tries the rest."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import imd
from imd.cli.main import COMMANDS
from imd.config import load

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "debian"
SERVICE = ROOT / "etc" / "systemd" / "imd.service"
_PIN = re.compile(
    r"^([\w.-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
#: points of systemd-analyze security; 3 and more are called exposed
MOST_EXPOSED = 3.0


def pins(name: str = "requirements.txt") -> dict[str, str]:
    """Each pinned project with its version."""
    text = (DEBIAN / name).read_text("utf-8")
    found = _PIN.findall(text)
    assert len(found) == text.count("=="), f"{name} has a pin without hashes"
    return {canonicalize_name(project): version for project, version, _ in found}


def wanted() -> list[Requirement]:
    """What debian/pins asks for."""
    loader = SourceFileLoader("pins", str(DEBIAN / "pins"))
    spec = importlib.util.spec_from_loader("pins", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return [Requirement(line) for line in module.wanted()]


def test_what_setup_cfg_asks_for_is_pinned_in_its_range():
    pinned = pins()
    loose = [
        str(one)
        for one in wanted()
        if not one.specifier.contains(pinned.get(canonicalize_name(one.name), "0"))
    ]
    assert not loose, f"{loose} are not met by debian/requirements.txt: make pins"


def test_the_extras_of_the_package_are_in_it():
    assert {"psycopg2-binary", "txredisapi", "hiredis", "pymysql"} <= set(pins())
    assert "setuptools" in pins("build-requirements.txt")


def test_every_requirement_has_a_floor():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line for text in texts for line in text.split("\n") if line]
    bare = [line for line in lines if not re.search(r">=|==", line)]
    assert not bare


def test_the_changelog_of_the_package_has_the_version_of_the_program():
    first = (DEBIAN / "changelog").read_text("utf-8").splitlines()[0]
    assert first.startswith(f"imd ({imd.__version__}) ")


def test_the_secret_that_postinst_makes_is_the_one_that_prod_names(tmp_path: Path):
    prod = (ROOT / "etc" / "imd" / "prod.toml").read_text("utf-8")
    line = '#secret_file = "/etc/imd/secret"'
    # debian/rules takes the "#" away, and postinst looks for the line without it.
    assert prod.splitlines().count(line) == 1
    secret = tmp_path / "secret"
    made = "head -c 36 /dev/urandom | base64 -w 0 | tr '+/' 'pq'"
    assert made in (DEBIAN / "imd.postinst").read_text("utf-8")
    subprocess.run(["sh", "-c", f"{made} >{secret}"], check=True)
    settings = load("prod", None, str(tmp_path), {"IMD_AUTH_SECRET_FILE": str(secret)}, {})
    assert settings.auth.secret is not None and len(settings.auth.secret) == 48


def test_every_packaged_script_is_a_shell_script_that_parses():
    scripts = [*DEBIAN.glob("imd.p*"), *(DEBIAN / "bin").iterdir(), DEBIAN / "tests" / "main-job"]
    for script in scripts:
        if script.suffix in (".postinst", ".prerm", ".postrm") or script.parent != DEBIAN:
            subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_manual_page_has_every_command():
    page = subprocess.run(
        [sys.executable, str(DEBIAN / "man" / "imdctl.py")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    for command in COMMANDS:
        assert re.search(rf"^\.SS {re.escape(command)}\b", page.replace("\\-", "-"), re.MULTILINE)
    if shutil.which("man") is None:
        pytest.skip("NOT TESTED: whether man likes the pages needs man")
    for text in (page, (DEBIAN / "man" / "imd.8").read_text("utf-8")):
        shown = subprocess.run(
            ["man", "--warnings", "-l", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        )
        assert shown.stderr == "" and "imd" in shown.stdout


def test_logrotate_understands_its_file(tmp_path: Path):
    logrotate = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if logrotate is None:
        pytest.skip("NOT TESTED: whether logrotate likes its file needs logrotate")
    text = (DEBIAN / "imd.logrotate").read_text("utf-8").replace("su imd imd", "su root root")
    (tmp_path / "imd").write_text(text.replace("/var/log/imd", str(tmp_path)), "utf-8")
    (tmp_path / "imd").chmod(0o644)
    said = subprocess.run(
        [logrotate, "--debug", "--state", str(tmp_path / "state"), str(tmp_path / "imd")],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "error" not in said.lower()


def test_an_upgrade_leaves_the_socket_alone_and_a_removal_stops_it_first():
    rules = (DEBIAN / "rules").read_text("utf-8")
    assert "dh_installsystemd --no-enable --no-start --no-stop-on-upgrade imd.socket" in rules
    prerm = (DEBIAN / "imd.prerm").read_text("utf-8")
    assert 0 < prerm.index("stop imd.socket") < prerm.index("#DEBHELPER#")


def test_the_unit_is_as_page_5_wants_it():
    config = configparser.ConfigParser(strict=False, interpolation=None)
    config.optionxform = str
    config.read_string(SERVICE.read_text("utf-8"))
    service = config["Service"]
    assert service["Type"] == "notify" and service["User"] == "imd"
    assert service["WatchdogSec"] and service["Restart"] == "on-failure"
    assert service["ExecStart"].split() == [
        "/usr/lib/imd/bin/twistd",
        "--nodaemon",
        "--pidfile=",
        "imd",
    ]
    assert service["StateDirectory"] == "imd"


def test_the_unit_exposes_little():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED: how exposed the unit is needs systemd-analyze")
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SERVICE)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    points = re.search(r"exposure level for imd\.service: ([\d.]+)", said)
    assert points is not None and float(points[1]) < MOST_EXPOSED
