"""One member of a zip or tar archive, as a file of its own."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ontogeny.files import replacing
from ontogeny.origins import reading
from ontogeny.progress import Progress
from ontogeny.study.errors import nearest

CHUNK_BYTES = 1 << 20
# Text is packed to a tenth, a hundredth at best; a member that is packed so much fills the disk.
MOST_PACKED = 1000
SMALL = 100_000_000  # bytes that do no harm, however they are packed
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile),
    *(zlib.error, lzma.LZMAError, EOFError),
)


def unpack(archive: Path, member: str, output: Path) -> None:
    """Write one member of an archive to `output`.

    Raises ValueError where there is no such member (with the nearest), where it is no file, for an
    archive that is damaged, and for a large member that is far smaller in it than text can be.
    """
    try:
        with (
            _member(archive, member) as (stream, size),
            replacing(output) as temporary,
            open(temporary, "wb") as out,
            Progress(member, size, "bytes") as progress,
        ):
            while chunk := stream.read(CHUNK_BYTES):
                out.write(chunk)
                progress.advance(len(chunk))
    except DAMAGE as error:
        reason = next(
            iter(str(error).splitlines()), type(error).__name__
        )  # tarfile tries four ways
        raise ValueError(
            f"{archive}: can't be read, it is damaged ({reason.rstrip(':')})"
        ) from None
    except (NotImplementedError, RuntimeError) as error:  # how it is compressed; a password
        raise ValueError(f"{archive}: {error}") from None


@contextmanager
def _member(archive: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    reading(archive)
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            files = {info.filename: info for info in opened.infolist() if not info.is_dir()}
            found = _named(archive, member, files)
            _check_size(archive, member, found.file_size, found.compress_size)
            with opened.open(found) as stream:  # no more than the stated size is read from it
                yield stream, found.file_size
    else:
        with tarfile.open(archive) as opened:
            files = {}
            for info in opened:  # a compressed one is read to its end
                _check_size(archive, info.name, info.size, archive.stat().st_size)
                if info.isfile():
                    files[_plain(info.name)] = info
            found = _named(archive, member, files)
            with opened.extractfile(found) as stream:
                yield stream, found.size


def _check_size(archive: Path, member: str, size: int, packed: int) -> None:
    if size > SMALL and size > MOST_PACKED * packed:
        raise ValueError(
            f"{archive}: {member!r} would be {size:,} bytes, from {packed:,}: that is no text; if "
            "it is right, unpack it by hand and name the folder in the study (`path`)"
        )


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _named(archive: Path, member: str, files: dict) -> zipfile.ZipInfo | tarfile.TarInfo:
    if member not in files:
        raise ValueError(f"{archive}: there is no {member!r} in it; {nearest(member, files)}")
    return files[member]
