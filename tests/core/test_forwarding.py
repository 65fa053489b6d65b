from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.forwarding import FIELDS, PREFIX, Forwarding

TRUSTED = Forwarding([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
NOBODY = Forwarding([])
CLAIMS = [
    (b"x-forwarded-for", b"198.51.100.9"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"evil.example"),
    (b"forwarded", b"for=198.51.100.9"),
    (b"x-real-ip", b"198.51.100.9"),
]


def read(headers, address="10.0.0.1", rules=TRUSTED):
    return rules.read(headers, address, "http", b"api.example")


@pytest.mark.parametrize(
    ("rules", "address"), [(NOBODY, "10.0.0.1"), (TRUSTED, "203.0.113.7"), (TRUSTED, "unknown")]
)
def test_an_untrusted_peers_words_are_replaced(rules, address):
    """N1"""
    peer = read(CLAIMS, address, rules)
    assert (peer.client, peer.scheme, peer.host) == (address, b"http", b"api.example")
    assert peer.fields == [
        (b"x-forwarded-for", address.encode()),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"api.example"),
    ]
    assert all(name in FIELDS or name.startswith(PREFIX) for name, _ in CLAIMS)


@pytest.mark.parametrize(
    ("headers", "address", "spoke"),
    [(CLAIMS, "203.0.113.7", True), (CLAIMS[1:], "203.0.113.7", False), (CLAIMS, "10.0.0.1", False)],
)
def test_a_proxy_that_nobody_named_is_noticed(headers, address, spoke):
    """D3: so that an operator learns why all clients share one address."""
    assert read(headers, address).spoke_untrusted is spoke


# the chain as the trusted proxy 10.0.0.1 sent it | the client
CHAINS = [
    ([], "10.0.0.1"),
    ([b"203.0.113.7"], "203.0.113.7"),
    ([b"203.0.113.7, 10.1.1.1"], "203.0.113.7"),
    ([b"203.0.113.7", b"10.1.1.1,10.2.2.2"], "203.0.113.7"),
    ([b"1.1.1.1, 203.0.113.7, 10.1.1.1"], "203.0.113.7"),
    ([b"10.9.9.9, 203.0.113.7"], "203.0.113.7"),
    ([b"10.9.9.9, 10.1.1.1"], "10.9.9.9"),
    ([b" , ,203.0.113.7,, "], "203.0.113.7"),
    ([b"2001:db8::7, fd00::1"], "2001:db8::7"),
    ([b"2001:DB8:0::7"], "2001:db8::7"),
    ([b"::ffff:203.0.113.7, ::ffff:10.1.1.1"], "203.0.113.7"),
    ([b"203.0.113.7:50123, 10.1.1.1:4711"], "203.0.113.7"),
    ([b"[2001:db8::7]:50123, [fd00::1]"], "2001:db8::7"),
    ([b"unknown, 10.1.1.1"], "unknown"),
    ([b"203.0.113.7, _hidden"], "unknown"),
    ([b"203.0.113.7, 10.1.1.1.1"], "unknown"),
    ([b"203.0.113.7, 10.1.1.1:99999999"], "unknown"),
    ([b"203.0.113.7, \xff\x00<script>"], "unknown"),
]


@pytest.mark.parametrize(("chain", "client"), CHAINS)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(chain, client):
    """N1: what stands before it, anybody could have written."""
    peer = read([(b"x-forwarded-for", value) for value in chain])
    assert peer.client == client
    [told] = [value for name, value in peer.fields if name == b"x-forwarded-for"]
    assert told.endswith(b"10.0.0.1")


def test_a_trusted_proxys_words_are_kept_and_continued():
    """N1"""
    headers = [*CLAIMS, (b"x-forwarded-port", b"443"), (b"x-forwarded-user", b"ada"), (b"accept", b"*/*")]
    peer = read(headers)
    assert (peer.scheme, peer.host) == (b"https", b"evil.example")
    assert peer.fields == [
        (b"x-forwarded-for", b"198.51.100.9, 10.0.0.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-real-ip", b"198.51.100.9"),
        (b"x-forwarded-port", b"443"),
        (b"x-forwarded-user", b"ada"),
        (b"forwarded", b"for=198.51.100.9, for=10.0.0.1;proto=http"),
    ]


# Forwarded, as the trusted proxy 10.0.0.1 sent it | client, scheme, host
FORWARDED = [
    ([b"for=203.0.113.7;proto=https;host=shop.example"], ("203.0.113.7", b"https", b"shop.example")),
    ([b'For="[2001:db8::7]:4711";Proto=https'], ("2001:db8::7", b"https", b"api.example")),
    ([b"for=1.1.1.1", b"for=203.0.113.7;proto=https"], ("203.0.113.7", b"https", b"api.example")),
    ([b"for=203.0.113.7;proto=https, for=10.1.1.1"], ("203.0.113.7", b"http", b"api.example")),
    ([b'by="a,b;c=d";for=203.0.113.7'], ("203.0.113.7", b"http", b"api.example")),
    ([b'by="a\\"b";host=a.example;for=_hidden'], ("unknown", b"http", b"a.example")),
    ([b'host="shop.example\\:8443";for="203.0.113.7"'], ("203.0.113.7", b"http", b"shop.example:8443")),
    ([b"nonsense"], ("10.0.0.1", b"http", b"api.example")),
    ([b""], ("10.0.0.1", b"http", b"api.example")),
    ([b" , ;for=203.0.113.7; ,,"], ("203.0.113.7", b"http", b"api.example")),
    ([b"", b"for=203.0.113.7"], ("203.0.113.7", b"http", b"api.example")),
    ([b"for=6.6.6.6, proto=https"], ("unknown", b"https", b"api.example")),
]


@pytest.mark.parametrize(("lines", "expected"), FORWARDED)
def test_the_standard_field_is_believed_where_there_is_no_other(lines, expected):
    """N1: RFC 7239 §4; the last element is the nearest proxy's own."""
    peer = read([(b"forwarded", line) for line in lines])
    assert (peer.client, peer.scheme, peer.host) == expected


BROKEN = [
    [b"for=6.6.6.6;proto=https;host=evil.example;x y, for=203.0.113.7"],
    [b'for=6.6.6.6;host=evil.example, ", for=203.0.113.7'],
    [b'for=6.6.6.6, for="', b'for="[2001:db8::7]"'],
    [b"for=203.0.113.7;for=6.6.6.6"],
    [b"for=6.6.6.6;host", b"for=203.0.113.7"],
]


@pytest.mark.parametrize("lines", BROKEN)
def test_what_a_client_breaks_off_does_not_make_its_own_words_the_last(lines):
    """N1: the proxy's own element stands at the end, behind whatever its client wrote."""
    peer = read([(b"forwarded", line) for line in lines])
    assert (peer.client, peer.scheme, peer.host) == ("10.0.0.1", b"http", b"api.example")
    assert peer.fields[-1] == (b"forwarded", b"for=10.0.0.1;proto=http")


PUBLIC = [
    (b"x-forwarded-proto", b"HTTPS", (b"https", b"api.example")),
    (b"x-forwarded-proto", b"wss", (b"https", b"api.example")),
    (b"x-forwarded-proto", b"ws", (b"http", b"api.example")),
    (b"x-forwarded-proto", b"javascript", (b"http", b"api.example")),
    (b"x-forwarded-proto", b"https, http", (b"http", b"api.example")),
    (b"x-forwarded-host", b"shop.example:8443", (b"http", b"shop.example:8443")),
    (b"x-forwarded-host", b"[2001:db8::1]:8443", (b"http", b"[2001:db8::1]:8443")),
    (b"x-forwarded-host", b"evil.example, shop.example", (b"http", b"api.example")),
    (b"x-forwarded-host", b"user@evil.example", (b"http", b"api.example")),
    (b"x-forwarded-host", b"evil.example/path", (b"http", b"api.example")),
    (b"x-forwarded-host", b'"><script>', (b"http", b"api.example")),
    (b"forwarded", b'for=a;host="evil.example/path";proto=gopher', (b"http", b"api.example")),
]


@pytest.mark.parametrize(("name", "value", "expected"), PUBLIC)
def test_a_scheme_and_a_host_are_believed_if_they_are_such(name, value, expected):
    """N1: they get into Location fields (``preserve_host = false``)."""
    peer = read([(name, value)])
    assert (peer.scheme, peer.host) == expected
    assert dict(peer.fields)[b"x-forwarded-proto"] == expected[0]
    assert dict(peer.fields)[b"x-forwarded-host"] == expected[1]


@pytest.mark.parametrize(
    ("chain", "told"),
    [([b"203.0.113.7"], b"203.0.113.7"), ([b"203.0.113.7, 10.1.1.1"], b"203.0.113.7"), ([b"_hidden"], None)],
)
def test_the_real_address_is_the_one_that_we_judged(chain, told):
    """N1: a proxy that writes X-Forwarded-For alone passes its client's X-Real-IP on."""
    peer = read([*((b"x-forwarded-for", v) for v in chain), (b"x-real-ip", b"6.6.6.6")])
    assert dict(peer.fields).get(b"x-real-ip") == told
    assert b"x-real-ip" not in dict(read([(b"x-forwarded-for", v) for v in chain]).fields)


def test_a_trusted_proxy_may_say_where_a_request_came_from():
    """N1: what an untrusted one may not; with the fields that IIS and its like add."""
    headers = [(b"x-original-url", b"/a"), (b"x-forwarded-prefix", b"/p"), (b"cookie", b"c")]
    assert read(headers).fields[3:] == headers[:2]


def test_a_chain_without_end_costs_no_work_without_end():
    """N1, D6: 5,000 members that all look trusted; they are passed on, and 64 are read."""
    chain = b",".join([b"203.0.113.7"] + [b"10.0.0.%d" % (n % 250 + 1) for n in range(5000)])
    peer = read([(b"x-forwarded-for", chain)])
    assert peer.client.startswith("10.0.0.")
    assert dict(peer.fields)[b"x-forwarded-for"].count(b",") == 5001
    near = b",".join([b"203.0.113.7"] + [b"10.0.0.1"] * 63)
    assert read([(b"x-forwarded-for", near)]).client == "203.0.113.7"


def test_a_zone_makes_no_other_client():
    """N1, D3: ``%`` and whatever follows."""
    clients = {read([(b"x-forwarded-for", b"fe80::1%%%d" % n)]).client for n in range(9)}
    assert clients == {"fe80::1"}


def test_an_ipv6_node_is_quoted():
    """RFC 7239 §6"""
    assert (b"forwarded", b'for=a, for="[fd00::1]";proto=http') in read(
        [(b"forwarded", b"for=a")], "fd00::1"
    ).fields


@pytest.mark.parametrize("values", [[], [b""], [b"https", b"http"]])
def test_a_word_that_is_not_said_once_is_not_believed(values):
    """N1"""
    headers = [(name, value) for name in (b"x-forwarded-proto", b"x-forwarded-host") for value in values]
    peer = read(headers)
    assert (peer.scheme, peer.host) == (b"http", b"api.example")


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.0.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("fd00::1", True),
        ("11.0.0.1", False),
        ("::ffff:11.0.0.1", False),
        ("2001:db8::1", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_whom_to_believe(address, trusted):
    """N1: a socket for both families writes IPv4 as ::ffff:…"""
    assert TRUSTED.trusts(address) is trusted
    assert not NOBODY.trusts(address)


@given(st.lists(st.tuples(st.sampled_from(sorted(FIELDS)), st.binary(max_size=20))))
def test_no_words_of_an_untrusted_peer_change_anything(headers):
    """N1"""
    told, silent = read(headers, "203.0.113.7"), read([], "203.0.113.7")
    assert (told.client, told.scheme, told.host, told.fields) == (
        silent.client,
        silent.scheme,
        silent.host,
        silent.fields,
    )


@given(st.lists(st.tuples(st.just(b"x-forwarded-for"), st.binary(max_size=30))))
def test_whatever_a_proxy_says_there_is_a_client(headers):
    """N1: garbage neither raises nor becomes a bucket of its own (D3)."""
    client = read(headers).client
    assert client == "unknown" or TRUSTED.read([], client, "http", b"").client == client


def test_blanks_cost_no_more_than_their_number():
    """N1, D6: a pattern that tried every way to share them out would take minutes for these."""
    blanks = b" " * 100_000
    assert read([(b"forwarded", b"for=192.0.2.1;" + blanks + b"proto=https" + blanks)]).scheme == b"https"
    assert read([(b"forwarded", b"for=192.0.2.1" + blanks + b"x y")]).client == "10.0.0.1"
