"""Official weights: found, fetched, gone on with, checked, and asked for where there is no connection."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
import urllib.request

import pytest

from cnnfast import applications
from cnnfast.applications import _download
from cnnfast.applications.resnet import _RESNET18, _RESNET34, _RESNET50, _RESNET101
from cnnfast.applications.vgg16 import _NETWORK as VGG16
from cnnfast.datasets import DownloadError

CONTENT = bytes(range(256)) * 5000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if self.server.ranges else None
        start = int(begin[1]) if begin else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        stop = self.server.breaks_at.pop() if self.server.breaks_at else len(CONTENT)
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A server of one file; it may break off, and may not know ranges."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.breaks_at, server.ranges = [], [], True
    server.url = f"http://127.0.0.1:{server.server_address[1]}/net.h5"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Empty ones for this package, Keras and PyTorch."""
    for name in ("CNNFAST_DATA", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


@pytest.mark.parametrize("digest", [SHA256, MD5, SHA256[:15], ""])
def test_a_file_is_fetched_once(server, folders, digest):
    path = _download.fetch("Net", server.url, digest)
    assert path == folders / "CNNFAST_DATA" / "models" / "net.h5" and path.read_bytes() == CONTENT
    assert _download.fetch("Net", server.url, digest) == path
    assert server.asked == [None] and [p.name for p in path.parent.iterdir()] == ["net.h5"]


def test_a_broken_download_goes_on_where_it_stopped(server):
    server.breaks_at = [300_000]
    with pytest.raises(DownloadError, match=r"the connection broke after 300000 of 1280000 bytes"):
        _download.fetch("Net", server.url, SHA256)
    assert _download.fetch("Net", server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_server_without_ranges_begins_again(server):
    server.breaks_at, server.ranges = [300_000], False
    with pytest.raises(DownloadError):
        _download.fetch("Net", server.url, SHA256)
    assert _download.fetch("Net", server.url, SHA256).read_bytes() == CONTENT


def test_a_whole_download_that_was_not_checked_yet_is(server, folders):
    part = folders / "CNNFAST_DATA" / "models" / "net.h5.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert _download.fetch("Net", server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_failed_download_is_an_error_of_the_system_as_well():
    """So that whoever reports files that cannot be read reports it too."""
    with pytest.raises(OSError, match=r"^what to do$"):
        raise DownloadError("what to do")


def test_another_content_is_not_kept(server, folders):
    with pytest.raises(DownloadError, match=r"what came has the digest sha256:.*expected sha256:00"):
        _download.fetch("Net", server.url, "sha256:00")
    assert list((folders / "CNNFAST_DATA" / "models").iterdir()) == []


def test_a_damaged_file_is_named(server, folders):
    path = _download.fetch("Net", server.url, SHA256)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match=r"net.h5 is damaged or another file .*; remove or replace it"):
        _download.fetch("Net", server.url, SHA256)


@pytest.mark.parametrize("place", ["KERAS_HOME/models", "TORCH_HOME/hub/checkpoints"])
def test_what_keras_or_pytorch_have_downloaded_is_used(server, folders, place):
    path = folders / place / "net.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert _download.fetch("Net", server.url, MD5) == path
    assert server.asked == []
    path.write_bytes(b"another file of that name")
    assert _download.fetch("Net", server.url, MD5).read_bytes() == CONTENT


def test_offline_the_message_says_what_to_do(folders, monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.request.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    models = re.escape(str(folders / "CNNFAST_DATA" / "models"))
    with pytest.raises(DownloadError, match=f"VGG16: .* Fetch https://storage.googleapis.com/tensorflow/keras-.*"
                       f"vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 by other means and put it into {models}, "
                       "or give weights= its path"):  # fmt: skip
        applications.VGG16(include_top=False)
    with pytest.raises(DownloadError, match=r"mobilenet_2_5_160_tf\.h5"):
        applications.MobileNet(alpha=0.25, input_shape=(160, 160, 3))
    with (
        pytest.warns(UserWarning, match="those for 224 are taken for input_shape=\\(150, 150, 3\\)"),
        pytest.raises(DownloadError, match=r"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
    ):
        applications.MobileNetV2(input_shape=(150, 150, 3), include_top=False)


def test_variants_without_official_weights_say_so():
    with pytest.raises(ValueError, match=r"SqueezeNet1_0: there are no official weights .* variant='caffe'"):
        applications.SqueezeNet1_0(variant="caffe")


def test_digests_are_whole_or_the_beginning_in_the_files_name():
    for network in (VGG16, _RESNET18, _RESNET34, _RESNET50, _RESNET101):
        for variant in network.variants.values():
            for url, digest in filter(None, (variant.with_top, variant.without_top)):
                kind, hexadecimal = digest.split(":")
                assert len(hexadecimal) == 32 if kind == "md5" else f"-{hexadecimal}.pth" in url
