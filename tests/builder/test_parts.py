"""Parts of the builder that need no build: records, events, words."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from conda_store_hub.builder.events import EventWriter, ProgressMeter
from conda_store_hub.builder.prefix import list_kernels
from conda_store_hub.builder.program import _translate
from conda_store_hub.builder.reasons import explain_channel
from conda_store_hub.builder.records import dump_records, load_records
from conda_store_hub.builder.reporter import Reporter
from conda_store_hub.builder.words import count, format_seconds, format_size
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.protocol import Download, Phase, ProgressEvent
from tests.support.channel import solve


def test_records_survive_the_lock(sample: str, tmp_path: Path) -> None:
    records = solve([sample], ["python", "numpy", "ipykernel", "click"], tmp_path)
    path = tmp_path / "records.json"
    path.write_text(dump_records(records))
    assert [record.to_json() for record in load_records(path)] == [record.to_json() for record in records]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records.json", "repodata"]


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://user:secret@example.org/c/noarch/a-1-0.conda", "https://example.org/c/noarch/a-1-0.conda"),
        ("https://example.org/t/tk-1234-abcd/c/noarch/a.conda", "https://example.org/c/noarch/a.conda"),
        ("see https://token@example.org/x and http://u:p@h/y", "see https://example.org/x and http://h/y"),
        ("https://example.org/c/noarch/a-1-0.conda", "https://example.org/c/noarch/a-1-0.conda"),
    ],
)
def test_credentials_are_stripped(url: str, plain: str) -> None:
    assert strip_credentials(url) == plain


def test_a_locks_addresses_have_no_credentials(sample: str, tmp_path: Path) -> None:
    (record, *_) = solve([sample], ["python"], tmp_path)
    record.url = record.url.replace("http://", "http://user:secret@")
    assert "secret" not in dump_records([record])


def test_a_time_out_of_a_channel_is_told_apart() -> None:
    text = "Request failed\nCaused by: error for url (http://h/c/noarch/x)\nCaused by: operation timed out"
    error = explain_channel(text, ["http://other/c", "http://h/c"])
    assert error.message == "The channel http://h/c could not be read: it did not answer in time."


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_apart(number: int) -> None:
    assert _translate(OSError(number, os.strerror(number))).code == "disk-full"
    assert _translate(OSError(errno.EIO, os.strerror(errno.EIO))).code == "build-failed"


def test_events_of_many_threads_are_whole_lines_in_order() -> None:
    read_end, write_end = os.pipe()
    events = EventWriter(write_end, started=0)
    lines: list[bytes] = []

    def read() -> None:
        with os.fdopen(read_end, "rb") as file:
            lines.extend(file)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=lambda: [events.start(Phase.SOLVE) for _ in range(200)]) for _ in range(8)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    os.close(write_end)
    reader.join()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, 1601))


def test_progress_is_thinned_out_but_its_end_is_told() -> None:
    read_end, write_end = os.pipe()
    meter = ProgressMeter(EventWriter(write_end, started=0), Phase.INSTALL, unit="packages")
    for done in range(1, 1001):
        meter.show(done, 1000)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as file:
        shown = [json.loads(line)["done"] for line in file]
    assert shown[0] == 1
    assert shown[-1] == 1000
    assert len(shown) < 100


def test_the_largest_downloads_are_told_of_while_they_come_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conda_store_hub.builder.events._PROGRESS_INTERVAL", 0)
    reading, writing = os.pipe()
    reporter = Reporter(EventWriter(writing, started=0.0), [])
    reporter.on_transaction_start(6)
    for number in range(6):
        assert reporter.on_populate_cache_start(number, f"package-{number}") == number
        reporter.on_download_start(number)
        reporter.on_download_progress(number, 10 * number, 100 * number)
    for number in range(6):
        reporter.on_download_completed(number)
    reporter.on_link_complete(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        events = [ProgressEvent.model_validate_json(line) for line in lines]
    names = [[download.name for download in event.downloads] for event in events]
    assert names[0] == ["package-0"]
    assert names[-2] == ["package-5", "package-4", "package-3", "package-2"]
    assert events[-2].downloads[0] == Download(name="package-5", done=50, total=500)
    assert (names[-1], events[-1].done, events[-1].total) == ([], 1, 6)


def test_a_kernel_spec_cannot_lead_out_of_the_prefix(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "kernel.json").write_text('{"argv": ["secret"]}')
    kernels = tmp_path / "prefix" / "share" / "jupyter" / "kernels"
    (kernels / "fine").mkdir(parents=True)
    (kernels / "fine" / "kernel.json").write_text('{"argv": ["python"]}')
    (kernels / "folder").symlink_to(secret)
    (kernels / "file").mkdir()
    (kernels / "file" / "kernel.json").symlink_to(secret / "kernel.json")
    assert [kernel.raw for kernel in list_kernels(tmp_path / "prefix")] == ["fine"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "it is no JSON object"),
        ('{"argv": ', "Expecting value"),
        (r'{"display_name": "\ud800"}', "surrogates not allowed"),
        (r'{"\uDC00": 1}', "surrogates not allowed"),
        ('{"metadata": NaN}', "NaN is no JSON"),
        ('{"metadata": ' + "[" * 16 + "]" * 16 + "}", "more than 16 levels"),
        ('{"metadata": ' + "[" * 300 + "]" * 300 + "}", "more than 16 levels"),
        ('{"metadata": ' + "[" * 20_000 + "]" * 20_000 + "}", "more than 16 levels"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, "more than 16 levels"),
        (f'{{"metadata": "{"x" * 64_000}"}}', "more than 64 kB"),
        (b'{"display_name": "\xff"}', "can't decode byte 0xff"),
    ],
    ids=range(11),
)
def test_a_kernel_spec_that_cannot_be_passed_on_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes, reason: str
) -> None:
    for name, content in (("bad", text), ("good", r'{"display_name": "\ud83d\ude00", "metadata": [[[[[[1]]]]]]}')):
        folder = tmp_path / "share" / "jupyter" / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_bytes(content.encode() if isinstance(content, str) else content)
    assert [kernel.raw for kernel in list_kernels(tmp_path)] == ["good"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Warning: the kernel bad is left out")
    assert reason in line


def test_a_kernel_whose_name_is_no_text_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "share" / "jupyter" / "kernels" / os.fsdecode(b"\xff")
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text("{}")
    assert list_kernels(tmp_path) == ()


def test_numbers_are_written_for_people() -> None:
    assert [count(1, "file"), count(1200, "file")] == ["1 file", "1,200 files"]
    assert [format_size(size) for size in (0, 999, 1500, 2_500_000, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
    ]
    assert [format_seconds(seconds) for seconds in (0.04, 59.9, 61, 3600)] == [
        "0.0 s",
        "59.9 s",
        "1 min 1 s",
        "60 min 0 s",
    ]
