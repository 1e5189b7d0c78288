"""Spaces as files: what is written is read back, and what is wrong is said with its line."""

import json
from dataclasses import asdict, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small import SMALL

from metanet import MetanetError
from metanet.search_spaces import SPACES, Space, StageChoices, files, load_space

HEAD = "name: mine\nresolution: [32]\nstem_width: [16]\n"
STAGE = "  - {depth: [1], width: [16], expansion: [1], op: [mbconv]}\n"
MINE = Space("mine", (StageChoices((1,), (16,), (1,), ("mbconv",)),), stem_width=(16,), resolution=(32,))


def stage(**fields):
    """A space whose second stage has these fields, one a line, depth in line 6."""
    fields = {"depth": "[1]", "width": "[16]", "expansion": "[1]", "op": "[mbconv]"} | fields
    return f"{HEAD}stages:\n{STAGE}  - " + "\n    ".join(f"{name}: {value}" for name, value in fields.items()) + "\n"


def read(tmp_path, text, name="mine.yaml"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return load_space(tmp_path / name)


@pytest.mark.parametrize("space", [*SPACES.values(), SMALL], ids=lambda space: space.name)
def test_every_space_is_read_back_from_what_is_written(space, tmp_path):
    again = read(tmp_path, files.dump(space))
    assert again == space and again.fingerprint == space.fingerprint and again.about == space.about
    assert again.size == space.size
    assert read(tmp_path, json.dumps(yaml.safe_load(files.dump(space))), "mine.json") == space


@settings(max_examples=15)
@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_any_name_is_written_so_that_it_is_read_back(name, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    named = read(folder, files.dump(replace(MINE, name=name, about=name)))
    assert (named.name, named.about) == (name, name)
    assert read(folder, files.template("a b.yaml", name)).name == name


def test_what_is_written_by_hand_means_what_it_says(tmp_path):
    assert read(tmp_path, HEAD + "stages:\n" + STAGE) == MINE
    assert read(tmp_path, HEAD.replace("[32]", "32") + "stages:\n" + STAGE.replace("[1]", "1")) == MINE  # one choice
    assert read(tmp_path, "\ufeff" + HEAD + "stages:\n" + STAGE) == MINE  # as Windows writes it
    two = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(MINE.stages[0]).items()}
    values = {"name": "mine", "stages": [two], "stem_width": [16], "resolution": 32}
    assert read(tmp_path, json.dumps(values, indent="\t"), "mine.json") == MINE  # YAML knows no tabs


def test_alternatives_are_read(tmp_path):
    text = HEAD + "stages:\n" + STAGE + "  - alternatives:\n"
    text += "      - {depth: 1, width: 32, expansion: 4, op: mbconv, stride: 2}\n"
    text += "      - {depth: [2, 3], width: [32, 48], expansion: 2, op: self_attention, head_dim: 16, stride: 2}\n"
    convolution = StageChoices((1,), (32,), (4,), ("mbconv",), stride=2)
    attention = StageChoices((2, 3), (32, 48), (2,), ("self_attention",), head_dim=(16,), stride=2)
    space = read(tmp_path, text)
    assert space == replace(MINE, stages=(*MINE.stages, (convolution, attention)))
    # stage 0: 2 kernels x 2 squeezes; stage 1: as many convolutions, and 2 depths x 2 widths of attention
    assert space.size == 4 * (4 + 4)


def test_the_template_has_the_architectures_that_its_comments_say(tmp_path):
    space = read(tmp_path, files.template(tmp_path / "mine.yaml", "mine"))
    assert space.name == "mine" and space.about and len(space.stages) == 2 and space.stages[1].stride == 2
    # stage 0: 2 operators x 2 depths x 2 widths x 3 expansions x 2 kernels x 2 squeezes; of the second stage's 2 widths
    # each has 3 depths x 2 expansions x 2 modules, of attention or of convolutions, which are 2 kernels x 2 squeezes
    convolutions, attention = 3 * 2 * 2 * 4, 3 * 2 * 2 - 1  # a single reduced attention block has no expansion
    wide = {16: 48, 24: 48}  # first stages by width; heads of 16 do not divide 24, but behind the local module they may
    behind = {16: 2 * (convolutions + attention), 24: 2 * (convolutions + 3 * 2)}
    assert space.size == sum(wide[w] * behind[w] for w in wide)


WHOLE = {
    "nothing": ("# a comment\n", "mine.yaml is empty: `metanet space new` writes an example"),
    "a list": ("- a\n- b\n", "line 1: a space must be a mapping of fields to values, got a list"),
    "a text": ("hello\n", "line 1: a space must be a mapping of fields to values, got 'hello'"),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2: not YAML or JSON (but found another document)"),
    "an open list": (HEAD + "stages: [\n", "line 5: not YAML or JSON ("),
    "a tab": ("name:\n\t- a\n", "line 2: not YAML or JSON (found character '\\t'"),
    "a control character": (HEAD + "about: \x01\n", "line 4: the character U+0001 stands in no text"),
    "a list as a field": ("? [a]\n: b\n", "line 1: unknown field of a space 'a list'"),
    "a mistyped field": (HEAD + "stage: 1\n", "line 4: unknown field of a space 'stage': did you mean 'stages'"),
    "a latency table": (f"{HEAD}stages:\n{STAGE}latency: 3\n", "line 6: unknown field of a space 'latency'"),
    "a field twice": (HEAD + "name: b\n", "line 4: the field 'name' stands twice in a space: keep one"),
    "no stages": (HEAD, "line 1: a space lacks the field stages"),
    "no fields": ("head_width: 8\n", "line 1: a space lacks the fields name, stages, stem_width"),
    "no stage": (HEAD + "stages: []\n", "line 4: `stages` must be a list of at least one stage"),
    "one stage": (HEAD + "stages: 3\n", "line 4: `stages` must be a list of at least one stage"),
    "an empty stage": (f"{HEAD}stages:\n{STAGE}  -\n", "line 6: a stage must be a mapping of fields to values, got ''"),
    "a number as name": (
        f"about: a\nname: 12\nstem_width: 8\nstages:\n{STAGE}",
        "line 2: `name` must be a text, got 12",
    ),
    "a list as about": (f"{HEAD}about: [a]\nstages:\n{STAGE}", "line 4: `about` must be a text, got ['a']"),
    "a small resolution": (
        f"{HEAD}stages:\n{STAGE}".replace("32", "7"),
        "line 2: `resolution` of a network must be a whole number of at least 8, got 7",
    ),
    "a word as width": (
        f"{HEAD}stages:\n{STAGE}".replace("m_width: [16]", "m_width: [x]"),
        "line 3: `stem_width` of a network must be a whole number of at least 1, got 'x'",
    ),
    "twice the same": (
        f"{HEAD}stages:\n{STAGE}".replace("[32]", "[32, 32]"),
        "line 2: the choices of resolution must be distinct and at least one, got [32, 32]",
    ),
    "no alternative": (
        HEAD + "stages:\n  - alternatives: []\n",
        "line 5: `alternatives` must be a list of at least one",
    ),
    "alternatives and more": (
        HEAD + "stages:\n  - stride: 2\n    alternatives: []\n",
        "line 6: `alternatives` must be the only field of its stage",
    ),
    "alternative strides": (
        f"{HEAD}stages:\n{STAGE}  - alternatives:\n  {STAGE}  {STAGE.replace('{', '{stride: 2, ')}",
        "line 6: the alternatives of stage1 must have one stride, got [1, 2]",
    ),
    "itself": (HEAD + "stages: &s [*s]\n", "line 4: a stage must be a mapping of fields to values, got a list"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_is_wrong_with_a_space_is_said_with_its_line(case, tmp_path):
    text, sentence = WHOLE[case]
    with pytest.raises(MetanetError) as error:
        read(tmp_path, text)
    assert sentence in str(error.value) and str(tmp_path / "mine.yaml") in str(error.value)
    assert "\n" not in str(error.value)


FIELDS = [
    ("depth", "[0]", 6, "`depth` of a mbconv stage must be a whole number of at least 1, got 0"),
    ("depth", "[true]", 6, "`depth` of a mbconv stage must be a whole number of at least 1, got True"),
    ("depth", "[]", 6, "the choices of depth must be distinct and at least one, got []"),
    ("depth", "[1, 1.0]", 6, "the choices of depth must be distinct and at least one, got (1, 1.0)"),
    ("depth", "{a: 1}", 6, "a choice of depth must be a single value, got {'a': 1}"),
    ("width", "[x]", 7, "`width` of a mbconv stage must be a whole number of at least 1, got 'x'"),
    ("expansion", "[.nan]", 8, "`expansion` of a mbconv stage must be a finite number above 0, got nan"),
    ("op", "[conv]", 9, "unknown op 'conv': did you mean 'mbconv'"),
    ("op", "!!python/name:os.system x", 9, "cannot be read (could not determine a constructor for the tag"),
    ("kernel", "[4]", 10, "`kernel` of a mbconv stage must be one of (3, 5, 7), got 4"),
    ("se", "[1]", 10, "`se` of a mbconv stage must be true or false, got 1"),
    ("head_dim", "[0]", 10, "`head_dim` of a mbconv stage must be a whole number of at least 1, got 0"),
    ("head_dim", "[x]", 10, "`head_dim` of a mbconv stage must be a whole number of at least 1, got 'x'"),
    ("down", "[up]", 10, "unknown downsampling module 'up': known: global, local, local_global"),
    ("stride", "3", 10, "`stride` of a mbconv stage must be 1 or 2, got 3"),
    ("stride", "[1, 2]", 10, "`stride` must be one whole number of at least 1, got [1, 2]"),
    ("window", "0", 10, "`window` must be one whole number of at least 1, got 0"),
    ("grid", "{}", 10, "`grid` must be one whole number of at least 1, got {}"),
    ("widht", "8", 10, "unknown field of a stage 'widht': did you mean 'width'"),
]


@pytest.mark.parametrize(("field", "value", "line", "sentence"), FIELDS)
def test_what_is_wrong_with_a_stage_is_said_with_its_line(field, value, line, sentence, tmp_path):
    with pytest.raises(MetanetError) as error:
        read(tmp_path, stage(**{field: value}))
    assert f"mine.yaml, line {line}: {sentence}" in str(error.value) and "\n" not in str(error.value)


def test_a_stage_that_cannot_be_built_is_named_by_its_line(tmp_path):
    with pytest.raises(MetanetError, match=r"line 6: no stage 1 of space mine can be built: no width is a multiple of"):
        read(tmp_path, stage(op="[self_attention]", head_dim="[12]"))
    assert read(tmp_path, stage(head_dim="[12]")).size == 16  # nothing attends there: 4 convolutions a stage


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MetanetError, match=r"cannot read the space '.*none.yml': No such file or directory"):
        load_space(tmp_path / "none.yml")
    (tmp_path / "latin.yaml").write_bytes("name: Käse".encode("latin-1"))
    with pytest.raises(MetanetError, match=r"cannot read the space '.*latin.yaml': it is not UTF-8 text"):
        load_space(tmp_path / "latin.yaml")
    (tmp_path / "space.txt").write_text("name: a")
    with pytest.raises(MetanetError, match=r"a space is read from a file whose name ends in .yaml, .yml or .json, got"):
        load_space(tmp_path / "space.txt")
