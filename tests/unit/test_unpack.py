"""Members of archives, as files."""

import io
import tarfile
import zipfile

import pytest

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


def test_a_link_in_an_archive_is_no_file(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("passwords")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ValueError, match="there is no 'passwords' in it"):
        unpack(tmp_path / "a.tar", "passwords", tmp_path / "out")
