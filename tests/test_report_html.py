"""Pages that need nothing else, tables, and that nothing from outside becomes markup."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.graph_objects import Figure, Scatter
from plotly.offline import get_plotlyjs

from metanet.report import Section, figure, network, page, paragraph, preformatted, table

ROWS = [{"name": "a", "op": "mbconv", "depth": 1, "width": 8, "map": 4, "stride": 1, "macs": 1, "params": 1}]
ROWS[0]["activations"] = 1
EVIL = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)> & \"quoted\" 'too'"
VOID = {"meta", "br", "img", "link"}


class Reader(HTMLParser):
    """Reads tags and texts and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[int] = []  # positions in texts
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(len(self.texts))
            self.texts.append((tag, ""))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.texts[self.open.pop()][0] == tag

    def handle_data(self, data):
        if self.open:
            tag, text = self.texts[self.open[-1]]
            self.texts[self.open[-1]] = (tag, text + data)

    def all(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def whole_page(text: str = EVIL) -> str:
    plot = Figure([Scatter(x=[1, 2], y=[3, 4], name=text)])
    rows = [row | {"name": text} for row in ROWS]
    body = [paragraph(text), preformatted(text), table(pd.DataFrame({text: [text]})), network(rows), figure(plot)]
    return page(text, [Section(text, body), Section("second", [figure(Figure())])], lead=text)


def test_a_page_needs_nothing_from_outside():
    text = whole_page()
    assert text.count(get_plotlyjs()) == 1
    reader = Reader(text.replace(get_plotlyjs(), ""))
    assert not {tag for tag, _ in reader.tags} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in reader.tags:
        assert "src" not in attributes and "srcset" not in attributes
        assert attributes.get("href", "#").startswith("#"), tag
    style = "".join(reader.all("style"))
    assert "@import" not in style and "url(" not in style
    (policy,) = [a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_nothing_from_outside_becomes_markup():
    reader = Reader(whole_page().replace(get_plotlyjs(), ""))
    assert reader.all("pre") == [EVIL] and len([text for text in reader.all("text") if EVIL in text]) == 2
    assert reader.all("h1") == reader.all("title")[:1] == [EVIL]
    assert reader.all("h2") == [EVIL, "second"]
    assert reader.all("p") == [EVIL, EVIL]
    assert reader.all("td") == [EVIL] and reader.all("th") == [EVIL]
    assert reader.all("a") == [EVIL, "second"]
    calm = Reader(whole_page("calm").replace(get_plotlyjs(), ""))
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in calm.tags]


def test_a_page_without_a_plot_has_no_script():
    text = page("calm", [Section("a", [paragraph("b"), network(ROWS)])])
    assert "<script" not in text and len(text) < 20_000


def test_the_contents_lead_to_the_sections():
    reader = Reader(whole_page().replace(get_plotlyjs(), ""))
    targets = [a["href"].removeprefix("#") for tag, a in reader.tags if tag == "a"]
    assert targets == [a["id"] for tag, a in reader.tags if tag == "section"] == ["s1", "s2"]


def test_the_same_report_twice_is_the_same_file():
    assert whole_page() == whole_page()


def test_figures_keep_their_numbers():
    text = figure(Figure([Scatter(x=[1, 2], y=[3, 4])]))
    data = re.search(r"Plotly\.newPlot\(\s*\"plot-[0-9a-f]{12}\",\s*(\[.*?\}\]),", text, re.DOTALL)
    assert data is not None
    (trace,) = json.loads(data[1])
    assert (trace["x"], trace["y"]) == ([1, 2], [3, 4])


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"))), min_size=1, max_size=4))
def test_the_cells_of_a_table_are_read_back_as_they_were(cells):
    reader = Reader(table(pd.DataFrame({"column": pd.Series(cells, dtype=object)}), caption=cells[0]))
    assert reader.all("td") == cells
    assert reader.all("caption") == ([cells[0]] if cells[0] else [])
    assert [tag for tag, _ in reader.tags if tag in ("thead", "tbody")] == ["thead", "tbody"]


@pytest.mark.parametrize(
    ("values", "shown", "right"),
    [
        ([3_100_000, 7], ["3,100,000", "7"], True),
        ([0.123456, math.nan], ["0.1235", "–"], True),
        (["0.93 [0.91, 0.95]", "–"], ["0.93 [0.91, 0.95]", "–"], True),
        (["1.2 M", "12 %"], ["1.2 M", "12 %"], True),
        (["<1%", "12%"], ["<1%", "12%"], True),
        (["search", "7"], ["search", "7"], False),
        (["3fa2", "1e5b"], ["3fa2", "1e5b"], False),
        ([True, np.False_], ["yes", "no"], False),
        ([None, None], ["–", "–"], False),
    ],
)
def test_numbers_stand_to_the_right(values, shown, right):
    reader = Reader(table(pd.DataFrame({"column": pd.Series(values, dtype=object)})))
    assert reader.all("td") == shown
    classes = {a.get("class") for tag, a in reader.tags if tag in ("td", "th")}
    assert classes == ({"number"} if right else {None})


def test_formats_are_by_column():
    rows = pd.DataFrame({"share": [0.5], "rest": [0.5]})
    assert Reader(table(rows, formats={"share": ".0%"})).all("td") == ["50%", "0.5"]
