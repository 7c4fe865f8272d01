"""The pipeline with its registry in an object store, and scoring from there."""

import shutil
from dataclasses import replace

from PIL import Image

from tests.flows.conftest import SMALL

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def test_publish_to_an_object_store_and_score_from_it(prefect, finished, object_server, tmp_path):
    workspace = shutil.copytree(finished[0], tmp_path / "workspace")
    store = KEYS | {"AWS_ENDPOINT_URL": object_server.endpoint, "AWS_ALLOW_HTTP": "true"}
    remote = replace(prefect, environment=prefect.environment | store)
    place = ["--registry", "s3://bucket/models", "--workspace", str(workspace)]
    summary = remote.run("run-all", *SMALL, *place)
    assert summary["status"] == "promoted"
    assert summary["reused"] == ["fetch", "train", "novelty", "export", "evaluate"]

    elsewhere = tmp_path / "elsewhere"
    listed = remote.run("models", "list", "--registry", "s3://bucket/models", "--workspace", str(elsewhere))
    assert [(row["version"], row["aliases"]) for row in listed["versions"]] == [(summary["version"], ["champion"])]
    images = tmp_path / "images"
    images.mkdir()
    Image.new("L", (28, 28)).save(images / "blank.png")
    output = tmp_path / "rows.csv"
    scored = remote.run(
        "score", str(images), "--output", str(output), "--registry", "s3://bucket/models", "--workspace", str(elsewhere)
    )
    assert (scored["images"], scored["no_digit"]) == (1, 1)
    assert scored["model_version"].endswith(summary["version"])
    assert list((elsewhere / ".cache" / "models").rglob("model.onnx"))
