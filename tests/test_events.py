import pytest

from gateway.core import strict_json
from gateway.events import (
    Events,
    Noticed,
    RefreshEnded,
    Repeated,
    RequestEnded,
    StoreFailed,
    fault,
    is_plain,
    place,
)


def failing(work):
    """The exception that ``work`` raises."""
    try:
        work()
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError


def test_a_fault_is_told_by_its_class_and_its_place():
    """X9, O2: neither its text nor what its frames hold."""
    error = failing(lambda: strict_json.parse(b"canary"))
    told = fault("internal_error", error, "id")
    assert told.where.partition(":")[0] == "core/strict_json.py"
    line = int(told.where.partition(":")[2])
    assert told == Noticed(
        what="internal_error", detail="ValueError", alarm=True, where=f"core/strict_json.py:{line}", request_id="id"
    )


def test_the_place_is_the_innermost_of_ours():
    """A library that fails was called by somebody: that line is told."""
    error = failing(lambda: strict_json.parse(None))
    assert place(error).startswith("core/strict_json.py:")


def test_a_place_in_compiled_code_is_told_the_same():
    """Its frames name the file as it was called at the build, which is nowhere on this machine."""
    ours, theirs = (compile("[][0]", f"{name}/edge/line.py", "eval") for name in ("gateway", "library"))
    assert place(failing(lambda: eval(ours))) == "edge/line.py:1"  # noqa: S307  # a frame of that name
    assert place(failing(lambda: eval(theirs))) == ""  # noqa: S307  # the same


def test_an_exception_that_never_was_in_our_code_has_no_place():
    assert place(failing(lambda: {}["canary"])) == ""
    assert place(ValueError()) == ""


def test_what_is_repeated_is_told_at_once_and_then_seldom():
    """B27: no flood in the log; nothing is lost but the moments."""
    repeated = Repeated("full", "no room", every=10)
    told = [notice.detail for now in range(100, 125) if (notice := repeated.happened(now))]
    assert told == ["no room", "no room (10 times)", "no room (10 times)"]
    assert repeated.happened(1000) == Noticed(what="full", detail="no room (5 times)")
    assert repeated.happened(2000) == Noticed(what="full", detail="no room")


def ended(**changes) -> RequestEnded:
    facts = {"request_id": "1", "method": "GET", "path": "/x", "route": "/*", "status": 200, "decision": "forward"}
    return RequestEnded(**(facts | changes))


class Counted(list):
    """Notes every count."""

    def request(self, *facts):
        self.append(("request", *facts))

    def refresh(self, *facts):
        self.append(("refresh", *facts))

    def notice(self, *facts):
        self.append(("notice", *facts))

    def store_error(self, *facts):
        self.append(("store_error", *facts))


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (ended(duration=0.5), ("request", "/*", "forward", 200, 0.5, False)),
        (ended(express=True), ("request", "/*", "forward", 200, 0.0, True)),
        (RefreshEnded(outcome="denied", duration=2.0), ("refresh", "denied", 2.0)),
        (Noticed(what="x", detail="y"), ("notice", "x")),
        (StoreFailed(operation="renew", reason="timeout"), ("store_error", "renew", "timeout")),
    ],
)
def test_every_event_is_counted_and_told(event, facts):
    told, counted = [], Counted()
    Events(told.append, counted, verbose=False)(event)
    assert told == [event]
    assert counted == [facts]


def test_what_passed_is_only_counted():
    told, counted = [], Counted()
    Events(told.append, counted, verbose=False).passed("/*", "forward", 200, 0.5, True)
    assert told == []
    assert counted == [("request", "/*", "forward", 200, 0.5, True)]


def test_a_log_that_fails_loses_no_count():
    def failing(event):
        raise OSError

    counted = Counted()
    with pytest.raises(OSError):
        Events(failing, counted, verbose=True)(Noticed(what="x"))
    assert counted == [("notice", "x")]


PLAIN = {"status": 200, "code": None, "refreshed": None, "cut_by": None}


@pytest.mark.parametrize("facts", [{}, {"status": 0}, {"status": 404}, {"status": 503}, {"cut_by": "client"}])
def test_a_plain_request_is_one_that_nobody_asks_for(facts):
    assert is_plain(**(PLAIN | facts))


@pytest.mark.parametrize(
    "facts",
    [
        {"status": 101},
        {"code": "invalid_token"},
        {"refreshed": "expired"},
        {"cut_by": "upstream"},
        {"cut_by": "gateway"},
    ],
)
def test_refusals_refreshes_websockets_and_broken_answers_are_not_plain(facts):
    assert not is_plain(**(PLAIN | facts))
