"""Tests of the server of the demo page, without a browser."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from urllib.parse import quote, urlsplit

import cv2
import pytest
from apis.inference_cases import ROOT, noise

SECRET = b"a secret of this machine"


def ask(address: str, method: str, path: str, body: bytes | None = None, **headers: str):
    """Send a request without normalising its path, and return status and content."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def upload(address: str, name: str, content: bytes) -> tuple[int, bytes]:
    boundary = "boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return ask(address, "POST", "/gradio_api/upload", body, **kind)


def test_page_is_served_at_an_ipv6_address(serving):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as free:
            port = free.getsockname()[1]
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with serving(host="::1", port=port) as address:
        assert address == f"http://[::1]:{port}/"
        assert ask(address, "GET", "/")[0] == 200


# Ways to name a file: as Gradio's page does, and such that Gradio does not check it.
AS_A_FILE = {"meta": {"_type": "gradio.FileData"}}
WAYS = [AS_A_FILE, {}, {"meta": {"_type": "another"}}, {"meta": None}]


def read_event(address: str, path: str, extra: dict = AS_A_FILE) -> str:
    """Return the response of the page's event to a path that the client chooses."""
    return send_event(address, {"path": path, **extra})


def send_event(address: str, value: object) -> str:
    config = json.loads(ask(address, "GET", "/config")[1])
    (event,) = [d["id"] for d in config["dependencies"] if len(d["outputs"]) == 5]
    data = [value]
    call = json.dumps({"data": data, "fn_index": event, "session_hash": "abc"}).encode()
    status, content = ask(
        address, "POST", "/gradio_api/queue/join", call, **{"Content-Type": "application/json"}
    )
    if status != 200:
        return content.decode()
    return ask(address, "GET", "/gradio_api/queue/data?session_hash=abc")[1].decode()


def event_output(said: str) -> list | None:
    """Return the values that an event has returned, or None."""
    messages = [json.loads(line[5:]) for line in said.splitlines() if line.startswith("data:")]
    for message in messages:
        if message.get("msg") == "process_completed" and message["success"]:
            return message["output"]["data"]
    return None


def nothing_read(said: str) -> bool:
    """Return whether an event has ended in an error or in only a message."""
    output = event_output(said)
    return output is None or (
        "cannot be read" in output[0] and not any(output[1:3]) and output[4] is None
    )


@pytest.fixture(scope="module")
def secret(tmp_path_factory) -> Path:
    """A file outside the uploads."""
    file = tmp_path_factory.mktemp("outside") / "secret.txt"
    file.write_bytes(SECRET)
    return file


def test_page_is_served(served):
    status, content = ask(served.address, "GET", "/")
    assert status == 200 and b"LPV" in content
    assert urlsplit(served.address).hostname == "127.0.0.1"


@pytest.mark.parametrize("route", ["/gradio_api/file=", "/file=", "/gradio_api/file", "/static"])
def test_files_outside_the_uploads_are_not_served(served, secret, route):
    climb = "/.." * 30
    for way in (
        str(secret),
        f"{climb}{secret}",
        f"{served.uploads}{climb}{secret}",
        f"{served.uploads}/../{os.path.relpath(secret, served.uploads.parent)}",
        os.path.relpath(secret, Path.cwd()),
        f"file://{secret}",
        f"//{secret}",
        str(ROOT / "setup.py"),
        "setup.py",
    ):
        ways = {way, quote(way), quote(way, safe=""), way.replace(".", "%2e")}
        for path in sorted(ways | {"/" + form for form in ways}):
            # The client refuses to send blanks, which the checkout's path may have.
            path = path.replace(" ", "%20")
            status, content = ask(served.address, "GET", f"{route}{path}")
            assert SECRET not in content and b"find_packages" not in content, path
            assert status != 200 or b"<!doctype html" in content.lower(), path


@pytest.mark.parametrize("name", ["../../evil.png", "/tmp/evil.png", "..%2fevil.png"])
def test_uploads_stay_in_their_folder(served, name):
    image = cv2.imencode(".png", noise())[1].tobytes()
    status, content = upload(served.address, name, image)
    assert status == 200
    (path,) = json.loads(content)
    assert Path(os.path.realpath(path)).is_relative_to(served.uploads)
    status, content = ask(served.address, "GET", f"/gradio_api/file={quote(path)}")
    assert (status, content) == (200, image)


def test_uploaded_image_is_read(served):
    image = cv2.imencode(".png", noise())[1].tobytes()
    (path,) = json.loads(upload(served.address, "word.png", image)[1])
    (reading,) = served.reader.read(noise())
    output = event_output(read_event(served.address, path))
    assert output[1] == reading.text and output[4]


@pytest.mark.parametrize("extra", WAYS, ids=json.dumps)
def test_event_reads_no_image_outside_the_uploads(served, secret, extra):
    outside = secret.with_name("word.png")
    cv2.imwrite(str(outside), noise())
    link = served.uploads / "link.png"
    link.symlink_to(outside)
    for path in (
        str(outside),
        f"{served.uploads}/../{os.path.relpath(outside, served.uploads.parent)}",
        os.path.relpath(outside, Path.cwd()),
        f"file://{outside}",
        str(link),
    ):
        assert nothing_read(read_event(served.address, path, extra)), path
    link.unlink()


def test_event_reveals_nothing_about_other_files(served, secret):
    """The response is the same for existing and missing files."""
    said = {
        json.dumps(event_output(read_event(served.address, path, {})))
        for path in (str(secret), str(secret.parent), "/nonexistent", "", "a\0b")
    }
    assert len(said) == 1 and "not uploaded to this page" in said.pop()


@pytest.mark.parametrize("value", ["x", ["a"], 7, {}, {"path": 7}, {"path": ["a"]}], ids=repr)
def test_malformed_event_reads_nothing(served, value):
    assert nothing_read(send_event(served.address, value))


@pytest.mark.parametrize("address", ["https://example.org/", "http://127.0.0.1:9/", "HTTPS://a.b/"])
def test_other_addresses_are_not_fetched(served, address):
    for route in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="):
        for form in (address, quote(address, safe="")):
            status, content = ask(served.address, "GET", f"{route}{form}")
            assert (status, content) == (403, b"not on this page")


@pytest.mark.parametrize("extra", WAYS, ids=json.dumps)
def test_addresses_of_this_machine_are_not_fetched(served, extra):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.5)
        path = f"http://127.0.0.1:{other.getsockname()[1]}/word.png"
        said = read_event(served.address, path, extra)
        with pytest.raises(TimeoutError):
            other.accept()
    assert nothing_read(said)


@pytest.mark.parametrize("extra", WAYS, ids=json.dumps)
def test_event_downloads_nothing(served, monkeypatch, extra):
    from gradio import processing_utils

    asked = []

    async def get(url: str) -> None:
        asked.append(url)
        raise OSError("no answer")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", get)
    said = read_event(served.address, "https://example.org/fetched.png", extra)
    assert nothing_read(said) and not asked
    assert not list(served.uploads.rglob("fetched.png"))


def test_too_large_upload_is_refused(served):
    status, _ = upload(served.address, "word.png", bytes(10 * 2**20 + 1))
    assert status == 413
    assert not [file for file in served.uploads.rglob("*") if file.stat().st_size > 10 * 2**20]


def test_other_sites_may_not_read_responses(served):
    """A page of another site in the same browser cannot read responses of this one."""
    connection = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=30)
    connection.request("GET", "/config", headers={"Origin": "https://example.org"})
    response = connection.getresponse()
    response.read()
    assert response.getheader("Access-Control-Allow-Origin") in (None, "")
    connection.close()
