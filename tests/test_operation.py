"""What operators put beside imd: nginx's and systemd's files are understood by their programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NGINX = ROOT / "etc" / "nginx" / "imd.conf"


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"NOT TESTED: {name} is not installed")
    return found


def test_nginx_understands_its_configuration(tmp_path: Path) -> None:
    nginx = program("nginx")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    text = NGINX.read_text().replace("/etc/imd/tls/fullchain.pem", str(cert))
    (tmp_path / "imd.conf").write_text(text.replace("/etc/imd/tls/key.pem", str(key)))
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n"
    whole += "".join(
        f"  {kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(f"{whole}  include {tmp_path}/imd.conf;\n}}\n")
    told = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert told.returncode == 0, told.stderr
    assert "warn" not in told.stderr, told.stderr


def test_nginx_waits_longer_than_imd_and_repeats_only_what_may_be_repeated() -> None:
    text = re.sub(r"#.*", "", NGINX.read_text())
    plain, _, rest = text.partition("location ~ ")
    messages, _, sockets = rest.partition("location = /ws")
    assert "non_idempotent" not in plain and "non_idempotent" in messages
    assert "proxy_read_timeout    15s" in plain  # http.request_timeout is 10 s
    assert "proxy_read_timeout 90s" in sockets  # websocket.peer_timeout is 60 s
    assert len(re.findall(r"^\s*server \d", text, re.MULTILINE)) >= 2


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for name in ("imd.service", "imd.socket"):
        text = (ROOT / "etc" / "systemd" / name).read_text()
        # The program and its user come with the package.
        text = text.replace("/usr/lib/imd/bin/twistd", "/bin/true")
        text = text.replace("User=imd", "User=root").replace("Group=imd", "Group=root")
        (tmp_path / name).write_text(text)
    told = subprocess.run(
        [analyze, "verify", "--man=no", tmp_path / "imd.service", tmp_path / "imd.socket"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    mine = [line for line in told.stderr.splitlines() if "imd." in line]
    assert mine == [] and told.returncode == 0, told.stderr
