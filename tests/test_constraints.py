"""The language of constraints: what it means, and where it points when it cannot be read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanet import MetanetError
from metanet.search_spaces import Constraint, parse_constraints

INF = math.inf
READ = {
    "macs <= 5M": [("macs", -INF, 5_000_000)],
    "macs < 5M, params >= 1_000": [("macs", -INF, 4_999_999), ("params", 1000, INF)],
    "params in [100k, 0.4M]": [("params", 100_000, 400_000)],
    "1M <= macs < 5M and params > 2.5k": [("macs", 1_000_000, 4_999_999), ("params", 2501, INF)],
    "params = 1G": [("params", 10**9, 10**9)],
    "activations == 1e6,": [("activations", 10**6, 10**6)],
    "memory < 2GB": [("memory", -INF, 1_999_999_999)],
    "memory <= 1.5GiB": [("memory", -INF, 3 * 2**29)],
    "latency <= 12ms": [("latency", -INF, 12_000_000)],
    "300us < latency <= 0.5s": [("latency", 300_001, 500_000_000)],
    "": [],
}


@pytest.mark.parametrize("text", READ)
def test_what_it_means(text):
    assert [(rule.metric, rule.low, rule.high) for rule in parse_constraints(text)] == READ[text]


REFUSED = {
    "macs <= five": (9, "expected a number"),
    "mac <= 5": (1, "unknown metric 'mac': did you mean 'macs'"),
    "macs 5": (6, "expected one of <=, <, >=, >, =, == or in [low, high]"),
    "macs < ": (8, "expected a number"),
    "5M": (3, "expected one of <=, <"),
    "macs <= 5Mx": (9, "macs knows the units k, M, G, B, T, got the unit 'Mx'"),
    "macs <= 5ms": (9, "got the unit 'ms'"),
    "latency <= 12": (12, "latency knows the units ns, us, µs, ms, s, got no unit"),
    "macs <= 5M params > 2": (12, "expected a comma before the next rule"),
    "macs in [1M 5M]": (13, "expected `,`"),
    "macs in [1M, 5M": (16, "expected `]`"),
    "params <= 1k, macs in [5M, 1M]": (15, "the range of macs is empty, got [5,000,000, 1,000,000]"),
    "macs <= 5M, ?": (13, "expected a metric"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_errors_point_at_the_character(text):
    at, why = REFUSED[text]
    with pytest.raises(MetanetError) as error:
        parse_constraints(text)
    first, shown, caret, out = str(error.value).split("\n")
    assert first.startswith(f"cannot read the constraints at character {at}: ")
    assert why in first
    assert shown == f"  {text}"
    assert caret.index("^") == at + 1
    assert "macs in [1M, 5M]" in out


@given(
    st.sampled_from(["macs", "params", "activations", "memory", "latency"]),
    st.integers(0, 10**13),
    st.integers(0, 10**13),
    st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_a_constraint_is_written_as_it_is_read(metric, a, b, ends):
    rule = Constraint(metric, min(a, b) if ends[0] else -INF, max(a, b) if ends[1] else INF)
    assert parse_constraints(str(rule)) == (rule,)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        parse_constraints(text)
    except MetanetError as error:
        assert "cannot read the constraints" in str(error)
