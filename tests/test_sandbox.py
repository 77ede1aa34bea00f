from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import InputError, SandboxError
from fusionfactory.sandbox import Limits, find_sandbox, make_sandbox, probe, run_many
from fusionfactory.sandbox.bubblewrap import Bubblewrap
from fusionfactory.sandbox.interpreter import this_interpreter
from fusionfactory.sandbox.probe import breaches
from fusionfactory.sandbox.seccomp import bpf_filter
from hostile_programs import HONEST, HOSTILE, TESTS, Hostile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.sandbox import Run, Sandbox

LITTLE = Limits(
    wall_s=60.0,
    cpu_s=60.0,
    memory_bytes=128 * 2**20,
    processes=8,
    output_bytes=2**16,
    disk_bytes=2**20,
)
PR_SET_CHILD_SUBREAPER = 36
HOST_TEMPORARY = Path("/tmp")  # noqa: S108  where a program inside may write, its own


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """This machine's; where CI cannot isolate, the tests fail rather than skip."""
    try:
        return find_sandbox()
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a program must not reach, by the names that stand for it in hostile programs."""
    canary = tmp_path_factory.mktemp("host") / "canary"
    canary.write_text("alive")
    abstract = f"fusionfactory-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0{abstract}")
        named.listen()
        yield {
            "@CANARY@": str(canary),
            "@PORT@": str(server.getsockname()[1]),
            "@ABSTRACT@": abstract,
        }


@pytest.fixture(autouse=True)
def _adopt_orphans() -> None:
    """Whatever a sandbox leaves behind becomes a child of this process, where it is seen."""
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _placed(hostile: Hostile, host: dict[str, str]) -> str:
    program = hostile.program
    for name, value in host.items():
        program = program.replace(name, value)
    return program


def _descendants() -> set[int]:
    found: set[int] = set()
    queue = [os.getpid()]
    while queue:
        # A process may end while it is being read.
        with contextlib.suppress(OSError):
            for path in Path(f"/proc/{queue.pop()}/task").glob("*/children"):
                new = set(map(int, path.read_text().split())) - found
                found |= new
                queue += new
    return found


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_program_is_contained(
    hostile: Hostile, sandbox: Sandbox, host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "CANARY")
    # Only what never ends by itself has little time: a loaded machine slows the others.
    wall_s = 1.0 if "timeout" in hostile.verdicts else LITTLE.wall_s
    limits = replace(LITTLE, **{"wall_s": wall_s, **hostile.limits})
    before = _descendants()
    run = sandbox.run_tests(_placed(hostile, host), TESTS, limits=limits)
    assert run.verdict in hostile.verdicts, run
    assert "BREACHED" not in run.output
    assert run.reason
    assert "\n" not in run.reason
    assert len(run.output) <= LITTLE.output_bytes
    assert _descendants() == before
    assert Path(host["@CANARY@"]).read_text() == "alive"
    assert not list(HOST_TEMPORARY.glob("*fusionfactory_evil*"))
    assert sandbox.run_tests(HONEST, TESTS, limits=LITTLE).verdict == "passed"


def test_there_are_enough_hostile_programs() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE) >= 40


@pytest.mark.parametrize(
    "name",
    ["connects", "abstract_socket", "any_network", "reads_secrets", "reads_the_environment",
     "memory_outside_of_any_limit"],
)  # fmt: skip
def test_hostile_programs_do_reach_things_without_a_sandbox(
    name: str, host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "CANARY")
    hostile = next(hostile for hostile in HOSTILE if hostile.name == name)
    command = [sys.executable, "-I", "-S", "-c", _placed(hostile, host)]
    assert "BREACHED" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "solution",
    [
        "class Any:\n    def __eq__(self, other): return True\n"
        "    def __sub__(self, other): return 0\ndef add(a, b): return Any()\n",
        "import sys\ndef add(a, b):\n    frame = sys._getframe()\n"
        "    while 'take' not in frame.f_locals: frame = frame.f_back\n"
        "    frame.f_locals['say']('passed', frame.f_locals['take']())\n",
    ],
    ids=["equals_everything", "speaks_through_the_frames"],
)
def test_what_is_not_defended_stays_named(solution: str, sandbox: Sandbox) -> None:
    # The module's docstring says so; if one of these fails one day, it may say less.
    assert sandbox.run_tests(solution, TESTS, limits=LITTLE).verdict == "passed"


def test_reasons_say_where(sandbox: Sandbox) -> None:
    wrong = sandbox.run_tests("def add(a, b):\n    return a - b", TESTS)
    assert wrong.reason == "AssertionError in line 2 of the tests: assert candidate(1, 2) == 3"
    inside = sandbox.run_tests("def add(a, b):\n    return [][a]", TESTS)
    assert inside.reason == (
        "IndexError: list index out of range in line 2 of the solution: return [][a]"
    )
    broken = sandbox.run_tests("def add(a, b)\n", TESTS)
    assert broken.reason.startswith("SyntaxError: expected ':'")
    left = sandbox.run_tests("raise SystemExit(0)", TESTS)
    assert left.reason == "it left with status 0 before the end of the solution"


def test_a_program_runs_as_main_to_its_last_line(sandbox: Sandbox) -> None:
    program = "import sys\nprint(__name__, sys.stdin.read(), 'ü€😀')\nsys.stderr.write('!')"
    run = sandbox.run(program, stdin="ja\nné")
    assert (run.verdict, run.output) == ("passed", "__main__ ja\nné ü€😀\n!")
    assert sandbox.run("print(1)\nraise SystemExit(0)").verdict == "failed"


def test_solutions_may_use_what_the_standard_library_offers(sandbox: Sandbox) -> None:
    solution = (
        "from __future__ import annotations\n"
        "import bz2, collections, copy, csv, ctypes, dataclasses, datetime, decimal, enum, hashlib,"
        " heapq, itertools, json, lzma, math, multiprocessing, pickle, random, re, sqlite3, ssl,"
        " statistics, string, subprocess, sys, tempfile, threading, typing, unittest, zlib\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\n"
        "def add(a, b):\n"
        "    with tempfile.TemporaryFile() as file:\n        file.write(b'x')\n"
        "    worker = threading.Thread(target=print)\n    worker.start()\n    worker.join()\n"
        "    command = [sys.executable, '-I', '-S', '-c', 'print(1)']\n"
        "    out = subprocess.run(command, capture_output=True)\n"
        "    assert pickle.loads(pickle.dumps(P(3))) == P(3) and hashlib.md5(b'').digest()\n"
        "    return P(a + b).x if out.stdout == b'1\\n' else None\n"
    )
    assert sandbox.run_tests(solution, TESTS).reason == "it ran to the end of its tests"


def test_programs_may_write_to_nowhere(sandbox: Sandbox) -> None:
    run = sandbox.run("import os\nopen(os.devnull, 'w').write('x')\nopen('/dev/urandom', 'rb')")
    assert run.verdict == "passed", run.reason


def test_no_descriptor_of_ours_is_inside(sandbox: Sandbox) -> None:
    program = (
        "import os\nfor n in range(2000):\n    try:\n        os.fstat(n)\n"
        "        print(n)\n    except OSError:\n        pass"
    )
    with contextlib.ExitStack() as stack:
        # So many are open out here that the ones for inside have large numbers.
        for _ in range(300):
            stack.enter_context(Path(os.devnull).open())
        inside = sandbox.run(program).output.split()
    assert inside[:3] == ["0", "1", "2"]
    assert len(inside) == 4


def test_reasons_hold_no_control_characters(sandbox: Sandbox) -> None:
    run = sandbox.run(r"raise ValueError('\x00\x1b[31mé\u202e')")
    assert run.reason.startswith("ValueError: \ufffd\ufffd[31mé\ufffd in line 1")


def test_main_blocks_do_not_run_before_tests(sandbox: Sandbox) -> None:
    solution = HONEST + "if __name__ == '__main__':\n    print(add(int(input()), 1))\n"
    assert sandbox.run_tests(solution, TESTS).verdict == "passed"


def test_sets_of_texts_have_one_order(sandbox: Sandbox) -> None:
    program = "print(list({str(n) for n in range(99)}))"
    assert sandbox.run(program).output == sandbox.run(program).output


def test_no_package_is_visible(sandbox: Sandbox) -> None:
    run = sandbox.run("import numpy")
    assert run.reason.startswith("ModuleNotFoundError: No module named 'numpy'")
    listed = sandbox.run(
        "import os, sys\nhome = os.path.dirname(os.__file__)\n"
        "for name in ('site-packages', 'dist-packages'):\n"
        "    path = os.path.join(home, name)\n"
        "    print(os.listdir(path) if os.path.isdir(path) else [])"
    )
    assert listed.output == "[]\n[]\n"


def test_output_is_kept_up_to_the_limit(sandbox: Sandbox) -> None:
    limits = replace(LITTLE, output_bytes=300_000)
    within = sandbox.run("print('x' * 299_999)", limits=limits)
    assert (within.verdict, len(within.output)) == ("passed", 300_000)
    beyond = sandbox.run("print('x' * 300_000)", limits=limits)
    assert (beyond.verdict, len(beyond.output)) == ("output", 300_000)


def test_limits_are_the_ones_asked_for(sandbox: Sandbox) -> None:
    program = "x = bytearray({0})\nopen('/tmp/x', 'wb').write(bytes({1}))"
    limits = replace(LITTLE, memory_bytes=256 * 2**20, disk_bytes=4 * 2**20)
    fits = program.format(180 * 2**20, 3 * 2**20)
    assert sandbox.run(fits, limits=limits).verdict == "passed"
    assert sandbox.run(fits, limits=replace(limits, memory_bytes=2**27)).verdict == "memory"
    full = sandbox.run(fits, limits=replace(limits, disk_bytes=2**20))
    assert full.reason.startswith("OSError")
    children = (
        "import os, signal\nfor _ in range(3):\n    if not os.fork():\n        signal.pause()"
    )
    assert sandbox.run(children, limits=replace(limits, processes=4)).verdict == "passed"
    assert sandbox.run(children, limits=replace(limits, processes=3)).verdict == "failed"


@pytest.mark.parametrize(
    ("field", "value"),
    [("wall_s", 0.0), ("wall_s", float("nan")), ("cpu_s", float("inf")), ("memory_bytes", 2**20),
     ("processes", 0), ("output_bytes", -1), ("disk_bytes", 0)],
)  # fmt: skip
def test_limits_that_allow_nothing_are_refused(field: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=f"'{field}'"):
        Limits(**{field: value})


def test_sandboxes_do_not_share_their_limits(sandbox: Sandbox) -> None:
    # Each fills its own allowance of processes and waits for the others, so all stand at once.
    program = (
        "import os, signal, time\nfor _ in range(7):\n    if not os.fork():\n"
        "        signal.pause()\ntime.sleep(1)"
    )
    runs: list[Run] = []
    threads = [
        threading.Thread(target=lambda: runs.append(sandbox.run(program, limits=LITTLE)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.verdict for run in runs] == ["passed"] * 6


def test_hostile_and_honest_programs_run_side_by_side(sandbox: Sandbox) -> None:
    bombs = [hostile for hostile in HOSTILE if "bomb" in hostile.name][:4]
    pairs = [(hostile.program, TESTS) for hostile in bombs] + [(HONEST, TESTS)] * 12
    before, descriptors = _descendants(), len(list(Path("/proc/self/fd").iterdir()))
    runs = run_many(pairs, limits=replace(LITTLE, wall_s=5), workers=4, sandbox=sandbox)
    assert [run.verdict for run in runs[4:]] == ["passed"] * 12
    assert all(run.verdict != "passed" for run in runs[:4])
    assert _descendants() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_run_many_keeps_the_order_and_wants_a_worker(sandbox: Sandbox) -> None:
    runs = run_many([(f"print({n})", "") for n in range(9)], sandbox=sandbox)
    assert [run.output for run in runs] == [f"{n}\n" for n in range(9)]
    with pytest.raises(InputError, match="0 is too few"):
        run_many([], workers=0, sandbox=sandbox)


def test_everything_dies_with_the_caller(sandbox: Sandbox) -> None:
    code = (
        "from fusionfactory.sandbox import find_sandbox, Limits\n"
        "import sys, threading, time, os\n"
        "place = find_sandbox()\n"
        "run = lambda: place.run('while True: pass', limits=Limits(wall_s=600, cpu_s=600))\n"
        "threading.Thread(target=run, daemon=True).start()\n"
        "time.sleep(600)\n"
    )
    before = _descendants()
    with subprocess.Popen([sys.executable, "-c", code]) as caller:
        # The caller, bubblewrap, the first process inside and the program.
        while len(_descendants() - before) < 4:
            assert caller.poll() is None
            time.sleep(0.05)
        caller.kill()
    while left := _descendants() - before:
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    assert _descendants() == before


def test_this_machines_sandbox_is_tight(sandbox: Sandbox) -> None:
    assert breaches(sandbox) == ""
    assert find_sandbox() is find_sandbox()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is exempt from the limit on processes")
def test_the_probe_notices_a_hole(sandbox: Sandbox) -> None:
    assert isinstance(sandbox, Bubblewrap)
    assert breaches(replace(sandbox, drops_root=False)) == "more processes than allowed"
    open_to_all = replace(
        sandbox.interpreter, readable=(*sandbox.interpreter.readable, Path("/etc"))
    )
    assert breaches(replace(sandbox, interpreter=open_to_all)) == "files of the host"


def test_without_bubblewrap_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="apt install bubblewrap"):
        make_sandbox(path=str(tmp_path))


def test_a_bubblewrap_that_fails_is_refused_with_its_words(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(SandboxError, match=r"uid map: Permission denied.*[Uu]ser namespaces"):
        make_sandbox(path=str(tmp_path))


def test_a_switch_that_forbids_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    switch = tmp_path / "userns_clone"
    switch.write_text("0\n")
    monkeypatch.setattr(probe, "_SWITCHES", ((switch, "0", "1"),))
    with pytest.raises(SandboxError, match=r"as root: sysctl -w \S+userns_clone=1"):
        make_sandbox(path=str(tmp_path))


def test_a_bubblewrap_that_does_not_isolate_is_refused(tmp_path: Path) -> None:
    # It runs the command that it is given as it stands, without any wall.
    fake = tmp_path / "bwrap"
    fake.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, sys\nargs = sys.argv\n"
        "os.write(int(args[args.index('--info-fd') + 1]), b'{\"child-pid\": %d}' % os.getpid())\n"
        "command = args[args.index('--') + 1:]\n"
        "os.execv(command[0], command)\n"
    )
    fake.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    with pytest.raises(SandboxError, match=r"does not isolate here.*reached files of the host"):
        make_sandbox(path=path)


def test_a_program_that_never_started_has_no_verdict(sandbox: Sandbox) -> None:
    assert isinstance(sandbox, Bubblewrap)
    gone = replace(this_interpreter(), executable=Path("/nowhere/python"))
    with pytest.raises(SandboxError, match="/nowhere/python"):
        replace(sandbox, interpreter=gone).run("print(1)")


def test_no_python_to_start_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    this_interpreter.cache_clear()
    try:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SandboxError, match="ldd is missing"):
            this_interpreter()
        monkeypatch.setattr(sys, "_base_executable", "")
        monkeypatch.setattr(sys, "executable", "")
        with pytest.raises(SandboxError, match="no Python executable"):
            this_interpreter()
    finally:
        this_interpreter.cache_clear()


def test_unknown_machines_and_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match=r"riscv64.*expected x86_64 or aarch64"):
        bpf_filter("riscv64")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="this is darwin"):
        make_sandbox()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_jumps_within_itself(machine: str) -> None:
    instructions = list(struct.iter_unpack("=HBBI", bpf_filter(machine)))
    assert instructions[-1] == (6, 0, 0, 0x7FFF0000)
    for place, (_, true, false, _) in enumerate(instructions):
        assert place + max(true, false) + 1 <= len(instructions)


def test_many_threads_may_find_it_at_once(sandbox: Sandbox) -> None:
    probe._tried_sandbox.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: find_sandbox(), range(4)))
    assert found == [sandbox] * 4
    assert all(one is found[0] for one in found)
