"""Files that are written whole or not at all, and targets that are found out before any work."""

import os
import stat

import pytest
from conftest import fails, posterior_flags

import report
from common import files
from report_page import run_files


@pytest.mark.parametrize(
    "way", ["pipe", "link to a pipe", "folder", "file as folder", "long name", "long folder"]
)
def test_what_cannot_be_written_is_told_before_any_work(copies, tmp_path, capsys, monkeypatch, way):
    monkeypatch.setattr(run_files, "read", lambda folder: pytest.fail("it was read before"))
    target = tmp_path / "target.html"
    if way.endswith("pipe"):  # stands for a device
        os.mkfifo(tmp_path / "pipe")
    if way == "folder":
        target.mkdir()
    (tmp_path / "file").touch()
    target = {
        "pipe": tmp_path / "pipe",
        "link to a pipe": target,
        "file as folder": tmp_path / "file" / "target.html",
        "long name": tmp_path / ("n" * 300),
        "long folder": tmp_path / ("n" * 300) / "target.html",
    }.get(way, target)
    if way.startswith("link"):
        target.symlink_to("pipe")
    sentence = fails(capsys, report.main, [str(copies[0]), f"--output={target}"])
    assert "cannot write" in sentence
    if way.endswith("pipe"):
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert not list(tmp_path.glob(".*"))


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    for content in (b"new", b"other"):  # a link to what is not there yet, and then is
        link.unlink(missing_ok=True)
        link.symlink_to("there/file")
        files.write_whole(link, lambda file, content=content: file.write(content))
        assert link.is_symlink()
        assert (tmp_path / "there" / "file").read_bytes() == content
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_a_file_is_as_readable_as_any_other_and_stays_so(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_whole(tmp_path / "file", lambda file: file.write(b"1"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    (tmp_path / "file").chmod(0o604)
    files.write_whole(tmp_path / "file", lambda file: file.write(b"2"))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o604


def test_nothing_is_in_the_way_of_a_temporary_file(tmp_path):
    (tmp_path / ".file.tmp").mkdir()
    (tmp_path / ".file.tmp" / "precious").touch()
    files.write_whole(tmp_path / "file", lambda file: file.write(b"1"))
    files.write_whole(tmp_path / ("n" * 255), lambda file: file.write(b"1"))  # as long as it may be
    assert len(list(tmp_path.iterdir())) == 3

    def interrupted(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_whole(tmp_path / "file", interrupted)
    assert (tmp_path / "file").read_bytes() == b"1"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("target", ["--to={}/folder.png", "--to={}/long", "--export={}/link"])
def test_what_a_model_makes_needs_a_target_first(
    copies, tools, tmp_path, capsys, monkeypatch, target
):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    target = target.format(tmp_path).replace("long", "n" * 300 + ".png")
    for tool, folder in zip(("sample", "synthesize"), copies, strict=True):
        monkeypatch.setattr(tools[tool], "load", lambda folder: pytest.fail("it was loaded before"))
        sentence = fails(capsys, tools[tool].main, [str(folder), target])
        assert "cannot write" in sentence or "is there already" in sentence


def test_an_export_takes_nobody_elses_folder(tools, copies, tmp_path):
    precious = tmp_path / ".exported.tmp" / "precious"
    precious.parent.mkdir()
    precious.touch()
    tools["synthesize"].main([str(copies[1]), f"--export={tmp_path / 'exported'}"])
    assert precious.exists()
    assert (tmp_path / "exported" / "saved_model.pb").is_file()
    assert sorted(tmp_path.glob(".*")) == [precious.parent]


def test_the_posterior_needs_its_targets_first(copies, tools, capsys, monkeypatch):
    (copies[0] / "posterior.png").mkdir()
    monkeypatch.setattr(tools["posterior"], "load_model", lambda *_: pytest.fail("it was loaded"))
    assert "posterior.png: it is a folder" in fails(
        capsys, tools["posterior"].main, posterior_flags(copies[0])
    )
    assert not (copies[0] / "posterior.json").exists()
