"""`pinpool doctor` as a user starts it."""

from __future__ import annotations

from commands import Desk


def test_a_sound_machine_is_exit_0_one_line_a_thing_and_nothing_is_left_behind(desk: Desk) -> None:
    code, out, err = desk.run("doctor")

    *rows, last = out.splitlines()
    assert (code, err) == (0, "")
    assert last.startswith("nothing here hinders a crawl")
    assert all(row.startswith(("fine ", "note ", "warning ", "   ")) for row in rows)
    assert any(row.startswith("fine     this folder        a journal can be here") for row in rows)
    assert list(desk.folder.iterdir()) == []


def test_files_named_like_modules_that_hinder_no_crawl_do_not_hinder_the_doctor(desk: Desk) -> None:
    """It starts its process as a crawl does, which does not look for modules in the current folder."""
    for name in ("socket.py", "signal.py", "selectors.py"):
        desk.write(name, "raise RuntimeError('not this one')\n")

    code, out, err = desk.run("doctor")

    assert (code, err) == (0, "")
    assert "\nfine     start              by " in out


def test_what_would_hinder_a_crawl_is_exit_3_and_json_says_the_same(desk: Desk) -> None:
    folder = desk.folder / ("t" * 90)
    folder.mkdir()

    spoken = desk.run("doctor", TMPDIR=str(folder))
    document = desk.run("doctor", "--json", TMPDIR=str(folder), https_proxy="http://alice:s3cret@x.test:1")

    assert (spoken.code, document.code) == (3, 3)
    assert "\nhinders  temporary files    the folder for temporary files has too long a name" in spoken.out
    assert f"\n{'':28}-> set TMPDIR to another one, for example TMPDIR=/tmp\n" in spoken.out
    assert "temporary files" in spoken.out.splitlines()[-1]
    assert document.json()["ok"] is False
    assert "temporary files" in document.json()["hinders"]
    assert "https_proxy" in [row["what"] for row in document.json()["rows"]]
    assert "s3cret" not in document.out


def test_an_address_is_for_ray_alone_and_names_a_port(desk: Desk) -> None:
    alone = desk.run("doctor", "--address", "10.0.0.1:6379")
    without_port = desk.run("doctor", "--engine", "ray", "--address", "10.0.0.1")

    assert (alone.code, without_port.code) == (2, 2)
    assert "--address: only --engine ray has an address" in alone.err
    assert "'10.0.0.1' is not HOST:PORT: name the head and its port, such as 10.0.0.1:6379" in without_port.err


def test_a_folder_that_is_gone_is_said_instead_of_a_traceback(desk: Desk) -> None:
    program = (
        "import os, sys\nos.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "sys.argv = ['pinpool', 'doctor']\nfrom pinpool.cli import main\nmain()\n"
    )

    code, out, err = desk.start_python("-c", program).end()

    assert (code, "Traceback" in err) == (3, False)
    assert "hinders  this folder        it does not exist any more" in out
