"""The old file or the new one, never a piece of either."""

import os
import stat
import subprocess
import sys
import textwrap

import pytest

from cnnfast.formats.atomic import atomic_write

OLD, NEW = b"old " * 1000, b"new contents " * 3000


def write_new(path):
    with atomic_write(path) as temporary, open(temporary, "wb") as f:
        f.write(NEW)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(OLD)
    return path


def test_new_file_appears_whole_and_alone(tmp_path):
    write_new(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == NEW
    assert os.listdir(tmp_path) == ["a"]


def test_error_in_the_block_leaves_the_old_file_and_no_temporary(old):
    with pytest.raises(RuntimeError, match="half way"), atomic_write(old) as temporary:
        with open(temporary, "wb") as f:
            f.write(NEW[:100])
        raise RuntimeError("half way")
    assert old.read_bytes() == OLD
    assert os.listdir(old.parent) == [old.name]


@pytest.mark.parametrize("call", ["fsync", "chmod", "replace"])
def test_failing_system_call_leaves_the_old_file_and_no_temporary(old, monkeypatch, call):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write_new(old)
    assert old.read_bytes() == OLD
    assert os.listdir(old.parent) == [old.name]


def test_bytes_reach_the_disk_before_the_rename_and_the_folder_after_it(old, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda d: (calls.append("dir" if is_dir(d) else "file"), fsync(d)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))

    def is_dir(descriptor):
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)

    write_new(old)
    assert calls == ["file", "replace", "dir"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_replaced_file_keeps_its_permissions_and_new_one_follows_the_umask(old):
    old.chmod(0o640)
    write_new(old)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        write_new(old.parent / "fresh")
    finally:
        os.umask(before)
    assert stat.S_IMODE((old.parent / "fresh").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_symbolic_link_stays_a_link(old):
    link = old.parent / "latest.safetensors"
    link.symlink_to(old.name)
    write_new(link)
    assert link.is_symlink()
    assert old.read_bytes() == NEW


def test_folder_and_missing_folder_are_refused_before_anything_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        write_new(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        write_new(tmp_path / "missing" / "a")
    assert os.listdir(tmp_path) == ["folder"]


KILLED_AT_EVERY_LINE = textwrap.dedent(
    """
    import os, signal, sys
    import numpy as np
    import safetensors.numpy
    from cnnfast.formats import atomic, safetensors_io

    def write(path, number):
        safetensors_io.write(path, {"x": np.full(50_000, number, np.float32)}, {"number": number})

    def killed_at(line_count):  # a line of the writing modules, or a call into C from them
        def trace(frame, event, arg):
            nonlocal line_count
            if frame.f_code.co_filename in (atomic.__file__, safetensors_io.__file__):
                line_count -= 1
                if line_count == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace
        return trace

    path = sys.argv[1]
    write(path, 0)
    outcomes = []
    for point in range(1, 1000):
        child = os.fork()
        if child == 0:
            sys.settrace(killed_at(point))
            write(path, point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        arrays, document = safetensors_io.read(path)
        number = document["number"]
        assert (arrays["x"] == number).all() and arrays["x"].shape == (50_000,)
        outcomes.append(number)
        if not os.WIFSIGNALED(status):
            break
    assert os.WEXITSTATUS(status) == 0, status
    print(*outcomes)
    """
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_writer_killed_at_any_line_leaves_the_old_or_the_new_file_whole(tmp_path):
    path = tmp_path / "model.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_LINE, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    numbers = [int(n) for n in done.stdout.split()]
    kills = len(numbers) - 1  # the last writer was not reached by its kill
    assert numbers[-1] == len(numbers)
    assert 30 < kills < 999
    replaced = [n for point, n in enumerate(numbers, 1) if n == point]
    assert 2 <= len(replaced) < kills  # some were killed before the rename, some after it
    first = numbers.index(replaced[0])
    assert numbers[:first] == [0] * first


WRITES_FOREVER = textwrap.dedent(
    """
    import sys
    import numpy as np
    from cnnfast.formats import safetensors_io

    number = 0
    while True:
        number += 1
        safetensors_io.write(sys.argv[1], {"x": np.full(300_000, number, np.float32)}, {"number": number})
        print(number, flush=True)
    """
)


def test_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    from cnnfast.formats import safetensors_io

    path = tmp_path / "model.safetensors"
    for extra in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITES_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
        with writer:
            for _ in range(2 + extra):
                last = int(writer.stdout.readline())
            writer.kill()
        arrays, document = safetensors_io.read(path)
        assert document["number"] >= last
        assert arrays["x"].shape == (300_000,) and (arrays["x"] == document["number"]).all()
