"""Official weights: where they lie on this computer, and how they get there.

pooch, which fetches the data sets, neither goes on with half a file nor knows digests of which only the beginning is
published; hence a downloader of its own for files of up to half a gigabyte.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

from cnnfast.datasets._store import DownloadError, store

_TIMEOUT = 30  # seconds without an answer from the server
_CHUNK = 1 << 20


def fetch(title: str, url: str, digest: str) -> Path:
    """The path of an official weights file, which is downloaded unless it is there.

    It is looked for in `models` of the folder of all data sets (``CNNFAST_DATA`` if set, else the user's cache), and
    where Keras and PyTorch keep their downloads. A download that breaks off goes on where it stopped.

    Args:
        title: of the network, for messages.
        url: http(s) address.
        digest: "md5:..." or "sha256:...", perhaps only its beginning; "": not checked.

    Raises:
        DownloadError: not there and not to be had, or with another digest; the message says what to do.
    """
    name = url.rsplit("/", 1)[1]
    folder = store() / "models"
    wanted = folder / name
    for path in (wanted, *_elsewhere(name)):
        if path.is_file():
            found = _digest(path, digest)
            if _agrees(found, digest):
                return path
            if path == wanted:
                raise DownloadError(
                    f"{title}: {path} is damaged or another file than expected: its digest is {found}, expected "
                    f"{digest}; remove or replace it"
                )
    try:
        return _download(url, wanted, digest)
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{title}: the pre-trained weights are not on this computer and the download failed. Fetch {url} by other "
            f"means and put it into {folder}, or give weights= its path. Cause: {type(error).__name__}: {error}"
        ) from error


def _elsewhere(name: str) -> list[Path]:
    """Where Keras and PyTorch put the same files."""
    keras = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    torch = Path(os.environ.get("TORCH_HOME", "~/.cache/torch")).expanduser()
    return [keras / "models" / name, torch / "hub" / "checkpoints" / name]


def _download(url: str, path: Path, digest: str) -> Path:
    """Fetches a file; what has come so far is in `.part` beside it until the whole is checked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _complete(url, part)
    found = _digest(part, digest)
    if not _agrees(found, digest):
        part.unlink()
        raise ValueError(f"what came has the digest {found}, expected {digest}")
    os.replace(part, path)
    return path


def _complete(url: str, part: Path) -> None:
    """Appends to `part` what is missing of the file at `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "cnnfast"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is missing, or the file has changed: the digest will tell
            error.close()
            return
        raise
    with answer:
        goes_on = answer.status == 206
        length = answer.headers.get("Content-Length")
        with open(part, "ab" if goes_on else "wb") as f:
            begin = f.tell()
            while chunk := answer.read(_CHUNK):
                f.write(chunk)
            came = f.tell() - begin
    if length is not None and came != int(length):
        raise OSError(f"the connection broke after {came} of {length} bytes; what came is kept, try again")


def _digest(path: Path, like: str) -> str:
    """The digest of a file, of the kind that `like` is."""
    kind = like.partition(":")[0] or "sha256"
    with open(path, "rb") as f:
        state = hashlib.md5(usedforsecurity=False) if kind == "md5" else hashlib.sha256()
        while chunk := f.read(_CHUNK):
            state.update(chunk)
    return f"{kind}:{state.hexdigest()}"


def _agrees(found: str, expected: str) -> bool:
    return found.startswith(expected)
