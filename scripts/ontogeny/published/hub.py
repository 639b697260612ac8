"""Asking the Hub: with the environment's token and no other, a few tries, errors in one line.

Only the token in HF_TOKEN is used, never one that an earlier login left on this machine, and it is
struck out of every message. The server is the one that HF_ENDPOINT names (by default
https://huggingface.co); the client reads that variable when it is imported.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # of the library under the client, which has changed twice
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import disable_progress_bars, logging

from ontogeny.progress import say
from ontogeny.published.token import TOKEN, hub_token

PAUSES = (1.0, 4.0, 15.0)  # seconds before each further try
BUSY = (408, 429)  # statuses below 500 that may pass

Answer = TypeVar("Answer")
disable_progress_bars()  # a log is no place for them
logging.set_verbosity_error()  # its warnings hold signed addresses


def connect(writes: bool = False) -> HfApi:
    """A client that has the environment's token, or none.

    Raises ValueError when it is to write and there is no token, or when that is none.
    """
    token = hub_token()
    if writes and not token:
        raise ValueError(
            f"publishing needs a token: set {TOKEN} to one that may write "
            "(https://huggingface.co/settings/tokens)"
        )
    return HfApi(token=token)


def ask(api: HfApi, what: str, call: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
    """What `call` answers. Failures that may pass (no connection, status 5xx) are tried again.

    Raises ValueError with one line that begins with `what`: the Hub can't be reached, refuses, or
    has no such repository or revision.
    """
    for pause in (*PAUSES, None):
        try:
            return call(*args, **kwargs)
        except (HTTPError, OSError, RuntimeError, ValueError) as error:
            reason = _reason(error)
            if pause is None or not _may_pass(error):
                raise ValueError(_without_token(f"{what}: {_explained(api, error)}")) from None
        say(_without_token(f"{what}: {reason}; tried again in {pause:.0f} s"))
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def stored_files(api: HfApi, repo: str, revision: str, what: str) -> dict[str, RepoSibling]:
    """The files of a revision by name, with the hashes that the Hub has of them."""
    info = ask(api, what, api.model_info, repo, revision=revision, files_metadata=True)
    return {file.rfilename: file for file in info.siblings or []}


def is_same(stored: RepoSibling, content: bytes | None, sha256: str) -> bool:
    """Whether a file on the Hub is one with this sha256.

    Of a file in large file storage the Hub has the sha256. Of others it has git's name, which is
    made from the content; None if there is none at hand.
    """
    if stored.lfs is not None:
        return stored.lfs.sha256 == sha256
    if content is None:
        return False
    return stored.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _root(error: BaseException) -> BaseException:
    """What the client wrapped: an answer of the server, or a connection that failed."""
    kinds = (HTTPError, OfflineModeIsEnabled)
    return next((link for link in _chain(error) if isinstance(link, kinds)), error)


def _may_pass(error: BaseException) -> bool:
    root = _root(error)
    if isinstance(root, OfflineModeIsEnabled):
        return False
    if isinstance(root, HfHubHTTPError):
        return root.response.status_code >= 500 or root.response.status_code in BUSY
    # RuntimeError: what the large files' own transfer raises
    return isinstance(root, HTTPError | ConnectionError | TimeoutError | RuntimeError)


def _reason(error: BaseException) -> str:
    root = _root(error)
    if isinstance(root, HfHubHTTPError):  # its own message holds signed addresses
        response = root.response
        said = f": {root.server_message}" if root.server_message else ""
        return f"{response.status_code} {response.reason_phrase}{said}".strip()
    lines = [line.strip() for line in str(root).splitlines() if line.strip()]
    return " ".join(lines) or type(root).__name__


def _explained(api: HfApi, error: BaseException) -> str:
    root, reason = _root(error), _reason(error)
    if isinstance(root, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing is asked of the Hub; unset it"
    if isinstance(root, RevisionNotFoundError):
        return f"this revision is not, or no longer, at {api.endpoint}"
    status = root.response.status_code if isinstance(root, HfHubHTTPError) else None
    refused = isinstance(root, GatedRepoError) or status in (401, 403)
    if refused or isinstance(root, RepositoryNotFoundError):
        return (
            f"{api.endpoint} does not give access ({reason}); check the name, and if the "
            f"repository is private or gated set {TOKEN} to a token that has access to it"
        )
    if _may_pass(error):
        return (
            f"no answer from {api.endpoint} (HF_ENDPOINT) in {len(PAUSES) + 1} tries ({reason}); "
            "check the network, then run the same command again"
        )
    return reason


def _without_token(message: str) -> str:
    token = os.environ.get(TOKEN, "").strip()
    for form in (token, repr(token)[1:-1], repr(token.encode())[2:-1]):  # as clients quote it
        message = message.replace(form, "***") if form else message
    return message
