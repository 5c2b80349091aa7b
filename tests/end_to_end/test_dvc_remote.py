"""A remote in S3-compatible storage, here a server on loopback: a clone takes one cell from it, then everything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dvc_s3", reason="needs the extra s3")
server = pytest.importorskip("moto.server", reason="needs moto[server]")

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
NOWHERE = "http://127.0.0.1:9"  # a proxy that does not answer: whoever leaves loopback fails
LOOPBACK_ONLY = {
    "AWS_EC2_METADATA_DISABLED": "true",
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE),
}
BUCKET = "grids"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server with an empty bucket; programs find the credentials in their environment."""
    import boto3

    for name, value in (CREDENTIALS | LOOPBACK_ONLY).items():
        monkeypatch.setenv(name, value)
    storage = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    host, port = storage.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket=BUCKET)
    yield f"http://{host}:{port}"
    storage.stop()


def files(project: Any, under: str) -> dict[str, bytes]:
    """The content of all files below a folder of the project, by their paths in the project; locks are no results."""
    paths = sorted(path for path in (project.folder / under).rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_a_clone_pulls_one_cell_and_then_everything(versioned: Any, endpoint: str, tmp_path: Path) -> None:
    versioned.dvc("remote", "add", "-d", "store", f"s3://{BUCKET}/project")
    versioned.dvc("remote", "modify", "store", "endpointurl", endpoint)
    versioned.commit("a remote")
    versioned.dvc("push")
    clone = versioned.clone(tmp_path / "clone")

    first, second = [cell for cell in versioned.made() if cell.startswith("results/students/reviews/tiny/kd/")]
    clone.dvc("pull", first)
    assert files(clone, "results") == files(versioned, first), "the cell, and nothing but it"
    assert len(files(clone, ".dvc/cache")) == len(files(versioned, first)) + 1, "its files, and a listing"
    clone.dvc("pull", second)
    assert files(clone, "results") == files(versioned, first) | files(versioned, second)

    clone.dvc("pull")
    assert "up to date" in clone.dvc("status")
    assert set(clone.made()) == set(versioned.made())
    assert files(clone, "results/students") == files(versioned, "results/students")
    assert clone.jobs() == {}
