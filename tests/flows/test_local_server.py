"""Prefect's local server: started by the command, gone with it."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from flows.local_server import LocalServer, configured_url
from mnist_pipeline.errors import PipelineError
from tests.flows.conftest import SMALL, Prefect


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_without_a_server_the_command_brings_its_own(prefect, finished, tmp_path):
    environment = {name: value for name, value in prefect.environment.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    alone = Prefect("", environment)
    workspace = shutil.copytree(finished[0], tmp_path / "workspace")
    summary = alone.run("run-all", *SMALL, "--workspace", str(workspace))
    assert summary["version"] == finished[1]["version"]
    assert (tmp_path / "prefect" / "prefect.db").is_file()


def test_the_server_ends_with_a_killed_parent(tmp_path):
    parent = (
        "import os, signal\n"
        "from flows.local_server import LocalServer\n"
        "server = LocalServer(); server.wait(); print(server.url, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    done = subprocess.run([sys.executable, "-c", parent], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while answers(done.stdout.strip()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(done.stdout.strip())


def test_a_server_that_cannot_start_is_one_clear_line(tmp_path, monkeypatch):
    not_a_folder = tmp_path / "file"
    not_a_folder.write_text("")
    monkeypatch.setenv("PREFECT_HOME", str(not_a_folder))
    server = LocalServer()
    with pytest.raises(PipelineError, match=r"Prefect's local server did not start .* run: mnist-pipeline doctor"):
        server.wait()
    server.stop()


def test_the_server_of_the_active_profile_is_used(tmp_path, monkeypatch):
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert configured_url() is None
    (tmp_path / "profiles.toml").write_text(
        'active = "office"\n[profiles.office]\nPREFECT_API_URL = "http://office:4200/api"\n[profiles.ephemeral]\n'
    )
    assert configured_url() == "http://office:4200/api"
    monkeypatch.setenv("PREFECT_PROFILE", "ephemeral")
    assert configured_url() is None
    monkeypatch.setenv("PREFECT_API_URL", "http://here:4200/api")
    assert configured_url() == "http://here:4200/api"
    monkeypatch.delenv("PREFECT_API_URL")
    (tmp_path / "profiles.toml").write_text("no toml")
    assert configured_url() is None
