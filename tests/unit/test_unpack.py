"""Members of archives, as files."""

import io
import struct
import tarfile
import zipfile
from random import Random

import pytest

from ontogeny.downloads import unpack as unpacking
from ontogeny.downloads.unpack import unpack

CONTENT = bytes(range(256)) * 400


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path, members):
    with tarfile.open(
        path, "w:" + {"gz": "gz", "tgz": "gz", "xz": "xz"}.get(path.suffix[1:], "")
    ) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz"])
def test_a_member_of_an_archive_is_a_file(tmp_path, name):
    write = zipped if name.endswith("zip") else tarred
    archive = write(tmp_path / name, {"t/one.train": CONTENT, "t/two.train": b"2"})
    unpack(archive, "t/one.train", tmp_path / "out" / "t" / "one.train")
    assert (tmp_path / "out" / "t" / "one.train").read_bytes() == CONTENT
    with pytest.raises(ValueError, match=r"no 't/onn.train' in it; did you mean 't/one.train'\?"):
        unpack(archive, "t/onn.train", tmp_path / "out" / "onn")
    with pytest.raises(ValueError, match="no 't' in it"):
        unpack(archive, "t", tmp_path / "out" / "t2")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"damaged|there is no"):
        unpack(archive, "t/two.train", tmp_path / "out" / "two")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["t"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_what_is_packed_more_than_text_can_be_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(unpacking, "SMALL", len(CONTENT))
    monkeypatch.setattr(unpacking, "MOST_PACKED", 50)
    text = Random(0).randbytes(10 * len(CONTENT))
    write = zipped if name.endswith("zip") else tarred
    archive = write(tmp_path / name, {"zeros": bytes(10 * len(CONTENT)), "text": CONTENT})
    with pytest.raises(ValueError, match=rf"{name}: 'zeros' would be 1,024,000 bytes, from [0-9,]"):
        unpack(archive, "zeros", tmp_path / "out" / "zeros")
    archive = write(tmp_path / name, {"few zeros": bytes(len(CONTENT)), "text": text})
    for member in ("few zeros", "text"):
        unpack(archive, member, tmp_path / "out" / member)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["few zeros", "text"]


def test_a_member_that_is_longer_than_stated_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"one": CONTENT})
    with zipfile.ZipFile(archive) as opened:
        size = opened.getinfo("one").file_size
    whole = archive.read_bytes()
    stated = struct.pack("<L", size)
    archive.write_bytes(whole.replace(stated, struct.pack("<L", 1000)))
    assert archive.read_bytes() != whole
    with pytest.raises(ValueError, match=r"a\.zip: can't be read, it is damaged"):
        unpack(archive, "one", tmp_path / "out" / "one")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_link_in_an_archive_is_no_file(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("passwords")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ValueError, match="there is no 'passwords' in it"):
        unpack(tmp_path / "a.tar", "passwords", tmp_path / "out")
