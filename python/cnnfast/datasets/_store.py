"""Where data sets are looked for, how they are downloaded, and how their content is checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TIMEOUT = 30  # seconds without an answer from the server


class DownloadError(RuntimeError, OSError):
    """A data set is neither on this computer nor could it be downloaded; the message says what to do."""


def store() -> Path:
    """The folder of all data sets: ``CNNFAST_DATA`` if set, else cnnfast's folder in the user's cache."""
    given = os.environ.get("CNNFAST_DATA")
    if given:
        return Path(given).expanduser()
    import pooch

    return Path(pooch.os_cache("cnnfast"))


def local_folders(*names: str) -> list[Path]:
    """Where a data set called by one of `names` may lie; downloads go into the first folder."""
    root = store()
    return [root / name for name in names] + ([root] if root.name in names else [])


def check_sha256(path: str | os.PathLike[str], found: str, expected: str) -> None:
    """Raise ValueError, naming the file, unless the two hexadecimal digests are equal."""
    if found != expected:
        raise ValueError(
            f"datasets: {path} is damaged or another file than expected: the SHA-256 of its content is "
            f"{found}, expected {expected}; remove or replace it"
        )


def download(
    data_set: str, urls: dict[str, str], folder: Path, searched: Iterable[Path], advice: str = ""
) -> list[Path]:
    """Fetch files into `folder` unless they are there, checked against their published digests.

    Args:
        data_set: name for the error message.
        urls: address -> digest as pooch writes it, for example ``"md5:..."``.
        folder: where the files go.
        searched: the folders in which the data set was looked for, for the error message.
        advice: another sentence for the error message.

    Raises:
        DownloadError: no connection, no such file, or a download with another digest.
    """
    import pooch

    try:
        return [
            Path(
                pooch.retrieve(
                    url,
                    known_hash=digest,
                    fname=url.rsplit("/", 1)[1],
                    path=folder,
                    downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
                )
            )
            for url, digest in urls.items()
        ]
    except (OSError, ValueError) as error:  # of requests and the disk; of pooch for a wrong digest
        places = ", ".join(map(str, dict.fromkeys(searched)))
        raise DownloadError(
            f"datasets.{data_set}: not found on this computer (looked in {places}) and the download failed. "
            f"Fetch {' '.join(urls)} by other means and put what you get into {folder}, or set CNNFAST_DATA "
            f"to the folder that holds {folder.name}/.{advice} Cause: {type(error).__name__}: {error}"
        ) from error
