"""Programs are started on their core, measured, and always ended; the token endpoint grants once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest

from bench import proc
from bench.errors import BenchError, WrongAnswerError
from bench.machine import machine
from bench.peers import DIRECT
from bench.programs import Command, Program, find, free_port
from bench.services import Services
from bench.serving import Request
from bench.stage import cores
from bench.targets import Entry
from bench.tokens import Mint, load, save
from bench.upstream import document
from bench.watch import DISTURBED, LOAD_BOUND, Seen

SPIN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def python(code):
    return Command([sys.executable, "-c", code])


def until(condition):
    """The condition comes true within the test's own time."""
    while not condition():
        time.sleep(0.01)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_program_runs_on_its_core_only(tmp_path):
    core = cores()[1]
    code = "import os, time; print(sorted(os.sched_getaffinity(0)), flush=True); time.sleep(60)"
    with Program(python(code), core, tmp_path / "log") as program:
        until(lambda: program.last_lines() != "")
        assert program.last_lines() == f"[{core}]"


def test_a_program_s_children_are_measured_and_ended_with_it(tmp_path):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '''{SPIN}print(1, flush=True)\nimport time; time.sleep(60)'''])"
    with Program(python(code), cores()[0], tmp_path / "log") as program:
        until(lambda: program.last_lines() != "")
        pids = proc.tree(program.pid)
        assert len(pids) == 2
        assert proc.cpu_seconds(program.pid) >= 0.2  # ticks are rounded down
        assert proc.resident(program.pid) > proc.resident(pids[1])
        assert proc.peak(program.pid) >= proc.resident(program.pid)
    until(lambda: all(gone(pid) for pid in pids))


def test_a_program_ends_when_the_benchmark_is_killed(tmp_path):
    """SIGKILL leaves the benchmark no time to clean up; the kernel does it."""
    code = f"""
from pathlib import Path
from bench.programs import Command, Program
program = Program(Command(["sleep", "60"]), {cores()[0]}, Path({str(tmp_path / "log")!r}))
import time
while Path(f"/proc/{{program.pid}}/comm").read_text().strip() != "sleep": time.sleep(0.01)
print(program.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as benchmark:
        pid = int(benchmark.stdout.readline())
        assert not gone(pid)
        benchmark.send_signal(signal.SIGKILL)
        until(lambda: gone(pid))


def test_a_program_that_ends_early_is_quoted(tmp_path):
    with (
        Program(python("print('no such option'); raise SystemExit(1)"), cores()[0], tmp_path / "log") as program,
        pytest.raises(BenchError, match="no such option"),
    ):
        program.await_port(free_port())


def test_a_program_that_is_not_installed_is_named():
    with pytest.raises(BenchError, match="no-such-program is not installed"):
        find("no-such-program")


def test_a_core_s_time_is_told_as_a_share():
    earlier, later = proc.CoreTime(100, 1000), proc.CoreTime(175, 1100)
    assert later.since(earlier) == 0.75
    assert later.busy_seconds(earlier) == 75 / proc.TICKS
    assert later.since(later) == 0.0


def test_the_cores_of_this_machine_can_be_read():
    for core in os.sched_getaffinity(0):
        assert proc.core_time(core).total > 0
    with pytest.raises(ValueError, match="no core 99999"):
        proc.core_time(99999)


def test_a_full_load_core_beside_an_idle_proxy_core_is_marked():
    def marks(*, behind_a_proxy=True, **told):
        seen = Seen(**told)
        seen.judge(behind_a_proxy=behind_a_proxy)
        return seen.marks

    assert marks(load_core=0.99, proxy_core=0.8) == [LOAD_BOUND]
    assert marks(load_core=0.99, proxy_core=0.99) == []
    assert marks(load_core=0.99, proxy_core=0.1, behind_a_proxy=False) == []
    assert marks(foreign=0.2) == [DISTURBED]


def test_no_fact_about_the_machine_names_a_path():
    assert all(fact and "/" not in fact for fact in machine().values())


def test_a_token_is_as_long_as_real_ones_and_verifies():
    mint = Mint("http://issuer")
    tokens = mint.tokens(2)
    claims = jwt.decode(
        tokens[0], jwt.PyJWK(mint.jwks()["keys"][0]), algorithms=["RS256"], audience="api", issuer="http://issuer"
    )
    assert claims["sub"] == "user-00000"
    assert 850 < len(tokens[0]) < 950
    assert len({*tokens, mint.token("user-00000")}) == 3


def test_the_document_has_its_size():
    assert len(document()) == 1024
    assert len(document(65536)) == 65536


def test_an_entry_s_label_tells_its_setting():
    assert Entry(DIRECT).label == "direct"
    assert Entry(DIRECT, note="10,000 routes").label == "direct · 10,000 routes"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.json"
    save(Mint("http://issuer").pairs("expired", 2, lifetime=-60), path)
    return load(path)


@pytest.fixture
def services(pairs):
    return Services(pairs, b'{"keys":[]}', b'{"document":1}')


def ask(services, pair):
    return services.auth(Request(b"/token", body=bytearray(f"refresh_token={pair.refresh}".encode())))


def test_a_refresh_token_is_granted_once(services, pairs):
    first, second = (ask(services, pairs[0]) for _ in range(2))
    assert first.status == b"200 OK"
    assert pairs[0].granted.encode() in first.body
    assert second.status.startswith(b"400")
    assert services.counts == {"token_requests": 2, "denied": 1}


def test_after_a_reset_all_are_as_good_as_new(services, pairs):
    ask(services, pairs[0])
    services.auth(Request(b"/reset?0.25"))
    answer = ask(services, pairs[0])
    assert (answer.status, answer.delay) == (b"200 OK", 0.25)
    assert services.counts["token_requests"] == 1


def test_the_guarded_path_wants_a_token_that_was_granted(services, pairs):
    def status(token, path=b"/guarded"):
        return services.api(Request(path, {b"authorization": f"Bearer {token}".encode()})).status

    assert status(pairs[0].access) == b"401 Unauthorized"
    assert status(pairs[0].granted) == b"200 OK"
    assert status(pairs[0].access, b"/json") == b"200 OK"
    assert services.api(Request(b"/json")).status == b"401 Unauthorized"
    assert b'error="invalid_token"' in services.api(Request(b"/json")).fields


def test_a_wrong_answer_is_an_error_of_the_benchmark():
    assert issubclass(WrongAnswerError, BenchError)
