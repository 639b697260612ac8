"""Downloads: whole and right, or not there; every failure told in one line."""

import hashlib
import io
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request

import pytest
from web_server import web_serving

from ontogeny.downloads import web as fetching
from ontogeny.downloads.obtain import obtain
from ontogeny.downloads.records import conflict, read_record, record_of
from ontogeny.files import read_json
from ontogeny.study.downloads import Download

PROJECT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 400  # 100 KB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LOOK = 1  # before a download goes on, it is asked whether the content is still the same
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES", (0.0, 0.0))
    with web_serving() as web:
        yield web


@pytest.fixture
def file(tmp_path):
    return tmp_path / "downloads" / "text" / "text.txt"


def download(url, **keys):
    return Download(url=url, **keys)


def left(file):
    """What lies beside a file, hidden or not."""
    return sorted(path.name for path in file.parent.iterdir() if path != file)


# ---------------------------------------------------------------------------- the web


def test_a_file_arrives_with_its_record(web, file, capsys):
    given = download(web.add("/text.txt", CONTENT), note="ours")
    record = obtain("text", given, file)
    assert file.read_bytes() == CONTENT
    assert left(file) == ["text.txt.json"]
    assert record == read_json(record_of(file)) == read_record(file)
    assert record["home"] == {"url": web.url + "/text.txt"}
    assert (record["sha256"], record["bytes"]) == (SHA256, len(CONTENT))
    assert record["how"] == "downloaded"
    assert f"{len(CONTENT):,} bytes, sha256 {SHA256}" in capsys.readouterr().err
    assert web.headers[0]["User-Agent"].startswith("ontogeny/")
    assert oct(file.stat().st_mode & 0o777) == oct(record_of(file).stat().st_mode & 0o777)

    # A second call asks for nothing.
    obtain("text", given, file)
    assert len(web.asked) == 1
    assert read_record(file)["how"] == "downloaded"


def test_a_server_that_is_busy_is_asked_again(web, file, capsys):
    obtain("text", download(web.add("/text.txt", CONTENT, fails=[503, 503])), file)
    assert file.read_bytes() == CONTENT
    assert len(web.asked) == 3
    assert capsys.readouterr().err.count("text.txt: 503 Service Unavailable; tried again in") == 2


def test_a_server_that_stays_busy_is_given_up(web, file):
    url = web.add("/text.txt", CONTENT, fails=[503] * 9)
    with pytest.raises(ValueError, match=r"given up after 3 tries \(503 Service Unavailable\)"):
        obtain("text", download(url), file)
    assert len(web.asked) == 3
    assert left(file) == [] and not file.exists()


@pytest.mark.parametrize("status", [404, 401, 403, 410])
def test_a_refusal_is_told_at_once(web, file, status):
    with pytest.raises(ValueError, match=f"{web.url}/text.txt: {status} ") as error:
        obtain("text", download(web.add("/text.txt", fails=[status] * 3), sha256=SHA256), file)
    assert len(web.asked) == 1
    # How to go on: what, which one, where.
    told = str(error.value)
    assert "\n" not in told
    assert f"(sha256 {SHA256})" in told
    assert f"put it at {file}, " in told
    assert "downloads.text.path" in told


def test_no_network_is_told_with_what_to_do(file, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES", (0.0,))
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/text.txt"
        with pytest.raises(ValueError) as error:
            obtain("text", download(url), file)
    told = str(error.value)
    assert told.startswith(f"download 'text': {url}: given up after 2 tries (Connection refused)")
    assert f"put it at {file}" in told

    # Done by hand, it works, and is told to have been done so.
    file.write_bytes(CONTENT)
    record = obtain("text", download(url, sha256=SHA256), file)
    assert record["how"] == "put there by hand"
    assert record["sha256"] == SHA256


def test_a_silent_server_is_given_up(web, file, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    url = web.add("/text.txt", CONTENT, pause=1.0, takes_ranges=False)
    with pytest.raises(ValueError, match=r"given up after 3 tries \(no byte for"):
        obtain("text", download(url), file)
    assert not file.exists() and left(file) == []


@pytest.mark.parametrize("states_length", [True, False])
def test_a_cut_download_goes_on_where_it_was(web, file, states_length, capsys):
    cuts = [30_000, LOOK, 20_000, LOOK] if states_length else [30_000, 20_000]
    url = web.add("/text.txt", CONTENT, cuts=cuts, states_length=states_length)
    obtain("text", download(url, sha256=SHA256), file)
    assert file.read_bytes() == CONTENT
    assert left(file) == ["text.txt.json"]
    ranges = [asked for _, asked in web.asked if asked]
    # Without a length it is not known whether there is more.
    assert ranges == (["bytes=30000-", "bytes=50000-"] if states_length else [])
    if states_length:
        told = capsys.readouterr().err
        assert "the connection ended after 30,000 of 102,400 bytes" in told
        assert "goes on after 50,000 bytes" in told


def test_a_download_that_gets_further_is_not_given_up(web, file):
    cuts = [10_000, LOOK] * 9  # more than there are pauses
    obtain("text", download(web.add("/text.txt", CONTENT, cuts=cuts), sha256=SHA256), file)
    assert file.read_bytes() == CONTENT


def test_a_later_call_goes_on(web, file):
    url = web.add("/text.txt", CONTENT, cuts=[40_000, LOOK, 0, LOOK, 0])
    with pytest.raises(ValueError, match="the connection ended after 40,000 of 102,400 bytes"):
        obtain("text", download(url), file)
    assert not file.exists()
    (part,) = left(file)
    assert part.startswith(".text.txt.") and part.endswith(".part")
    web.asked.clear()
    obtain("text", download(url), file)
    assert [asked for _, asked in web.asked] == [None, "bytes=40000-"]
    assert file.read_bytes() == CONTENT
    assert left(file) == ["text.txt.json"]


def test_another_content_is_never_joined_to_the_beginning_of_one(web, file):
    url = web.add("/text.txt", CONTENT, cuts=[40_000, LOOK, 0, LOOK, 0])
    with pytest.raises(ValueError):
        obtain("text", download(url), file)
    changed = CONTENT[::-1]
    web.add("/text.txt", changed, tag='"2"')
    obtain("text", download(url), file)
    assert file.read_bytes() == changed
    assert left(file) == ["text.txt.json"]


def test_another_part_than_was_asked_for_is_not_used(web, file):
    wrong = {"Content-Range": f"bytes 39999-{len(CONTENT) - 1}/{len(CONTENT)}"}
    url = web.add("/text.txt", CONTENT, cuts=[40_000], headers=wrong)
    obtain("text", download(url), file)
    assert file.read_bytes() == CONTENT
    assert [asked for _, asked in web.asked] == [None, None, "bytes=40000-", None]


@pytest.mark.parametrize("keys", [{"takes_ranges": False}, {"tag": 'W/"1"'}])
def test_a_server_without_ranges_sends_it_anew(web, file, keys):
    obtain("text", download(web.add("/text.txt", CONTENT, cuts=[40_000], **keys)), file)
    assert file.read_bytes() == CONTENT
    assert [asked for _, asked in web.asked] == [None, None]
    assert left(file) == ["text.txt.json"]


def test_a_wrong_content_is_not_kept(web, file):
    given = download(web.add("/text.txt", b"another text"), sha256=SHA256)
    with pytest.raises(ValueError, match=f"has the sha256 [0-9a-f]{{64}} .* study says {SHA256}"):
        obtain("text", given, file)
    assert left(file) == [] and not file.exists()


def test_a_wrong_size_is_told_before_it_is_fetched(web, file):
    url = web.add("/text.txt", CONTENT, pause=1.0)
    with pytest.raises(ValueError, match="the server has 102,400 bytes, but the study says 5"):
        obtain("text", download(url, bytes=5), file)
    unstated = web.add("/text.txt", CONTENT, states_length=False)
    with pytest.raises(ValueError, match="sends more than the 5 bytes of the study"):
        obtain("text", download(unstated, bytes=5), file)
    assert left(file) == [] and not file.exists()


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_no_more_than_the_stated_size_is_taken(web, file, monkeypatch, takes_ranges):
    """A server that says nothing of a length may send without an end."""
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 1000)
    taken = []
    read = fetching._read
    monkeypatch.setattr(fetching, "_read", lambda answer: taken.append(read(answer)) or taken[-1])
    url = web.add("/text.txt", CONTENT, states_length=False, takes_ranges=takes_ranges)
    with pytest.raises(ValueError, match="sends more than the 5,000 bytes of the study"):
        obtain("text", download(url, bytes=5000), file)
    assert 5000 < sum(map(len, taken)) <= 5000 + 1000
    assert len(web.asked) == 1
    assert left(file) == [] and not file.exists()
    obtain("text", download(url, bytes=len(CONTENT)), file)
    assert file.read_bytes() == CONTENT


def test_what_has_changed_at_its_home_is_told(web, file):
    given = download(web.add("/text.txt", CONTENT))
    obtain("text", given, file)
    file.unlink()
    web.add("/text.txt", b"the second edition")
    with pytest.raises(ValueError, match=f"had {SHA256}: it has changed") as error:
        obtain("text", given, file)
    assert not file.exists()
    assert left(file) == ["text.txt.json"]
    assert "remove the record" in str(error.value)
    record_of(file).unlink()
    obtain("text", given, file)
    assert file.read_bytes() == b"the second edition"


def test_a_wrong_file_that_was_put_there_stays_and_is_told(web, file):
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    given = download(web.add("/text.txt", CONTENT), sha256=SHA256)
    with pytest.raises(
        ValueError, match=r"was put there, and has the sha256 .* put the right file"
    ):
        obtain("text", given, file)
    assert file.read_bytes() == b"mine"
    assert web.asked == []


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("file:///etc/passwd", "302"),
        ("ftp://127.0.0.1/text.txt", "leads to an address .* that is not https"),
        ("http://192.0.2.1/text.txt", "leads to an address at 192.0.2.1 that is not https"),
        ("http://me:secret@127.0.0.1/text.txt", "127.0.0.1 that has a user's name or password"),
        ("https://me:secret@192.0.2.1/text.txt", "192.0.2.1 that has a user's name or password"),
    ],
)
def test_redirects_lead_nowhere_else(web, file, to, told):
    with pytest.raises(ValueError, match=told) as error:
        obtain("text", download(web.add("/text.txt", redirect=to)), file)
    assert "secret" not in str(error.value)
    assert not file.exists()


@pytest.mark.parametrize("to", ["http://127.0.0.1/text.txt", "http://localhost/text.txt"])
def test_what_is_public_does_not_lead_to_this_machine(to):
    request = Request("https://example.org/text.txt")
    with pytest.raises(ValueError, match=r"leads to an address at .* that is not https"):
        fetching._Redirects().redirect_request(request, io.BytesIO(), 302, "Found", {}, to)
    told = fetching._Redirects().redirect_request(
        request, io.BytesIO(), 302, "Found", {}, "https://b.org"
    )
    assert told.full_url == "https://b.org"


def test_an_allowed_redirect_is_followed(web, file):
    web.add("/elsewhere?signature=s3cret", CONTENT)
    url = web.add("/text.txt", redirect="/elsewhere?signature=s3cret")
    record = obtain("text", download(url), file)
    assert file.read_bytes() == CONTENT
    assert record["home"] == {"url": url}
    with pytest.raises(ValueError, match=r"302 .* infinite loop"):
        obtain("round", download(web.add("/round", redirect="/round")), file.with_name("round"))


def test_a_web_page_in_the_place_of_a_file_is_refused(web, file):
    page = web.add("/text.txt", b"<html>Log in", headers={"Content-Type": "text/html; charset=u"})
    with pytest.raises(ValueError, match="answers with a web page"):
        obtain("text", download(page), file)
    packed = web.add("/text.txt", CONTENT, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ValueError, match="sends it as gzip"):
        obtain("text", download(packed), file)
    assert not file.exists()


def test_a_killed_download_leaves_nothing_under_the_name(web, file):
    url = web.add("/text.txt", CONTENT, pause=0.05)
    spec = json.dumps({"url": url, "sha256": SHA256})
    script = [sys.executable, PROJECT / "scripts" / "download.py", "--name", "text"]
    for kind in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(
            [*script, "--spec", spec, "--output", file], stderr=subprocess.PIPE, text=True
        )
        while not (file.parent.is_dir() and sum(p.stat().st_size for p in file.parent.iterdir())):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(kind)
        process.communicate()
        assert not file.exists()
        assert all(name.startswith(".") for name in left(file))
    web.pages["/text.txt"].pause = 0.0
    done = subprocess.run([*script, "--spec", spec, "--output", file], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == CONTENT
    assert left(file) == ["text.txt.json"]


def test_a_full_disk_is_told_as_that(web, file, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(fetching, "open", lambda *_: Full(), raising=False)
    with pytest.raises(OSError, match="No space left on device"):
        obtain("text", download(web.add("/text.txt", CONTENT)), file)
    assert len(web.asked) == 1


# ---------------------------------------------------------------------------- records


def test_a_record_that_does_not_fit_the_study_is_told(web, file):
    url = web.add("/text.txt", CONTENT)
    obtain("text", download(url), file)
    assert conflict(download(url), file) is None
    # To pin what is there changes nothing, wherever it is from.
    assert conflict(download(url, sha256=SHA256), file) is None
    assert conflict(download(url + "?mirror", sha256=SHA256, note="moved"), file) is None
    assert f"the study says {OTHER}" in conflict(download(url, sha256=OTHER), file)
    assert "another name" in conflict(download(url + "?v=2"), file)
    assert "the study says 7" in conflict(download(url, bytes=7), file)
    file.write_bytes(b"short")
    assert "it was changed" in conflict(download(url), file)
    file.unlink()
    assert conflict(download(url), file) is None
    record_of(file).write_text("{")
    with pytest.raises(ValueError, match=r"text\.txt\.json is damaged; remove it"):
        conflict(download(url), file)
