from gateway.core import strict_json
from gateway.events import Noticed, Repeated, fault, place


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
