"""A file from an https address: streamed, tried again, continued where it was cut."""

import hashlib
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import ontogeny
from ontogeny.progress import Progress, say
from ontogeny.study.downloads import address

PAUSES = (1.0, 4.0, 15.0)  # seconds before each further try
BUSY = (408, 429)  # statuses below 500 that may pass
TIMEOUT = 60.0  # seconds without a byte
CHUNK_BYTES = 1 << 20
HEADERS = {"User-Agent": f"ontogeny/{ontogeny.__version__}", "Accept-Encoding": "identity"}


class _MayPass(Exception):  # noqa: N818 (caught here, and told by another error in the end)
    """A failure after which another try makes sense."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to addresses that may be fetched from, and from https to https alone."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        parts, before = urlsplit(newurl), urlsplit(req.full_url)
        if problem := _problem(parts, newurl, before.scheme == "https"):
            fp.close()
            raise ValueError(f"it leads to an address at {parts.hostname} {problem}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _problem(parts: SplitResult, url: str, from_https: bool) -> str | None:
    """Why a redirect to an address is not followed; told without the address, which may be signed
    or hold a password."""
    if parts.scheme != "https" and (from_https or parts.scheme != "http"):
        return "that is not https"
    if parts.username is not None or parts.password is not None:
        return "that has a user's name or password in it, which would stand in every log"
    try:
        address(url)
    except ValueError:
        return "that is not https" if parts.scheme == "http" else "that can't be read"
    return None


def fetch(url: str, file: Path, size: int | None = None) -> Path:
    """Fetch what is at `url` into a hidden file beside `file`; returns it, whole.

    Failures that may pass (no connection, no byte for a minute, a cut, status 5xx) are tried again,
    more than `PAUSES` tells where each try gets further. Where the server states a validator and
    takes ranges, a cut download goes on where it was, also in a later call. Raises ValueError for
    other failures, and for a server that states another `size`, in bytes, or sends more than that.
    """
    pauses = iter(PAUSES)
    furthest = 0
    while True:
        try:
            return _try(url, file, size)
        except _MayPass as error:
            reached = max((part.stat().st_size for part in _parts(file)), default=0)
            if reached > furthest:
                furthest, pauses = reached, iter(PAUSES)
            pause = next(pauses, None)
            if pause is None:
                raise ValueError(f"given up after {len(PAUSES) + 1} tries ({error})") from None
            say(f"{file.name}: {error}; tried again in {pause:.0f} s")
        time.sleep(pause)


def _try(url: str, file: Path, size: int | None) -> Path:
    with _open(url, {}) as answer:
        total = _checked_length(answer, file, size)
        validator = _validator(answer)
        part = _part(file, url, validator)
        for other in _parts(file):
            if other != part:
                other.unlink()
        had = part.stat().st_size if part.exists() else 0
        if validator is None or total is None or not 0 < had <= total:
            return _write(answer, file, part, 0, total, size, keep=validator is not None)
        if had == total:
            return part
    with _open(url, {"Range": f"bytes={had}-", "If-Range": validator}) as answer:
        goes_on = answer.status == 206 and _validator(answer) == validator
        goes_on = goes_on and (answer.headers["Content-Range"] or "").startswith(f"bytes {had}-")
        if answer.status == 206 and not goes_on:
            part.unlink()
            raise _MayPass("the server sent another part than it was asked for")
        return _write(answer, file, part, had if goes_on else 0, total, size, keep=True)


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={**HEADERS, **headers})
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        told = f"{error.code} {error.reason}".strip()
        if error.code >= 500 or error.code in BUSY:
            raise _MayPass(told) from None
        raise ValueError(told) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ValueError(f"its certificate is not valid ({reason.verify_message})") from None
        raise _MayPass(_told(reason)) from None


def _checked_length(answer: http.client.HTTPResponse, file: Path, size: int | None) -> int | None:
    """The length that the server states, in bytes; raises ValueError for an answer that can't be
    the file."""
    kind, coding = answer.headers.get_content_type(), answer.headers["Content-Encoding"]
    if kind == "text/html" and file.suffix.lower() not in (".html", ".htm"):
        raise ValueError("the server answers with a web page, not with a file")
    if coding not in (None, "", "identity"):
        raise ValueError(f"the server sends it as {coding}, which was not asked for")
    length = answer.headers["Content-Length"]
    total = int(length) if length and length.isdecimal() else None
    if size is not None and total not in (size, None):
        raise ValueError(f"the server has {total:,} bytes, but the study says {size:,}")
    return total


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """What tells one content of an address from another for certain (RFC 9110, 8.8)."""
    tag = answer.headers["ETag"] or ""
    return tag if re.fullmatch(r'"[!-~]+"', tag) else None


def _part(file: Path, url: str, validator: str | None) -> Path:
    """Where the beginning of a content is kept: another content has another name."""
    tag = hashlib.sha256(f"{url} {validator}".encode()).hexdigest()[:12]
    return file.with_name(f".{file.name}.{tag}.part")


def _parts(file: Path) -> list[Path]:
    return [path for path in file.parent.glob(".*.part") if path.name.startswith(f".{file.name}.")]


def _write(
    answer: http.client.HTTPResponse,
    file: Path,
    part: Path,
    start: int,
    total: int | None,
    size: int | None,
    keep: bool,
) -> Path:
    """Write an answer into `part` from byte `start`; with `keep` what was written outlives a
    failure, unless it is more than `size`."""
    if start:
        say(f"{file.name}: goes on after {start:,} bytes")
    written = start
    try:
        left = max(total - start, 0) if total is not None else 0
        with (
            Progress(file.name, left, "bytes") as progress,
            open(part, "ab" if start else "wb") as out,
        ):
            while chunk := _read(answer):
                written += len(chunk)
                if size is not None and written > size:
                    keep = False
                    raise ValueError(f"the server sends more than the {size:,} bytes of the study")
                out.write(chunk)
                progress.advance(len(chunk))
            if total is not None and written < total:
                raise _MayPass(f"the connection ended after {written:,} of {total:,} bytes")
        keep = True
    finally:
        if not keep:
            part.unlink()
    return part


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _MayPass(_told(error)) from None


def _told(error: BaseException | str) -> str:
    if isinstance(error, TimeoutError):
        return f"no byte for {TIMEOUT:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
