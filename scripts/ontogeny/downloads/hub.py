"""A file of a repository on the Hub, through its own client."""

import re
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from tqdm import tqdm

from ontogeny.progress import Progress
from ontogeny.published.hub import ask, connect
from ontogeny.study.downloads import Download


class _Shown(tqdm):
    """What the client takes for a bar: a line now and then where there is no terminal."""

    def __init__(self, *_: Any, desc: str = "", total: int | None = None, **__: Any):
        super().__init__(disable=True)
        self.shown: Progress | None = Progress(desc, total or 0, "bytes")

    def update(self, n: float = 1) -> None:
        if self.shown is not None:
            self.shown.advance(int(n))

    def close(self) -> None:
        shown, self.shown = getattr(self, "shown", None), None
        if shown is not None:
            shown.__exit__(None)


def fetch(download: Download, folder: Path) -> tuple[Path, str, str | None]:
    """Fetch a file of the Hub into `folder`; returns it, the commit that it is of, and the sha256
    that the Hub states, which it does of large files.

    Raises ValueError with what went wrong in one line, also where the Hub states another size than
    the study.
    """
    api = connect()
    what = f"{download.repo}, {download.file!r} at revision {download.revision!r}"
    names = {"repo_type": download.repo_type, "endpoint": api.endpoint}
    url = hf_hub_url(download.repo, download.file, revision=download.revision, **names)
    stated = ask(api, what, get_hf_file_metadata, url, token=api.token, endpoint=api.endpoint)
    if download.bytes is not None and stated.size not in (download.bytes, None):
        raise ValueError(
            f"{what}: the Hub has {stated.size:,} bytes, but the study says {download.bytes:,}"
        )
    path = ask(
        api,
        what,
        hf_hub_download,
        download.repo,
        download.file,
        revision=stated.commit_hash or download.revision,
        local_dir=folder,
        token=api.token,
        tqdm_class=_Shown,
        **names,
    )
    is_sha256 = re.fullmatch("[0-9a-f]{64}", stated.etag or "")
    commit = stated.commit_hash or download.revision
    return Path(path), commit, stated.etag if is_sha256 else None
