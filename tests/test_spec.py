"""Specs: canonical by construction, a faithful JSON form, one sentence for each malformed value."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from strategies import specs

from metanet import ArchSpec, MetanetError, StageSpec


def net(*stages, stem_width=16, **values):
    return ArchSpec(stages, stem_width=stem_width, **values)


@given(specs())
def test_json_round_trip(spec):
    again = ArchSpec.from_json(spec.to_json())
    assert again == spec and hash(again) == hash(spec) and again.id == spec.id


def test_the_id_is_the_same_in_another_process():
    spec = net(StageSpec("mbconv", 2, 24, 4, stride=2), StageSpec("self_attention", 1, 32, 3, head_dim=8))
    code = f"import metanet; print(metanet.ArchSpec.from_json('''{spec.to_json()}''').id)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == spec.id == "75fdb4a8357c"


def test_fields_without_effect_do_not_make_specs_differ():
    a = StageSpec("self_attention", 2, 32, 4, kernel=3, se=True, head_dim=8)
    b = StageSpec("self_attention", 2, 32, 4.0, kernel=7, se=False, head_dim=8)
    assert a == b and a.to_dict().keys() == {"op", "depth", "width", "expansion", "stride", "head_dim"}
    assert StageSpec("mbconv", 1, 8, 2, head_dim=4) == StageSpec("mbconv", 1, 8, 2, head_dim=64)
    reduced = [net(StageSpec("channel_attention", 1, 32, e, stride=2, head_dim=8)) for e in (1, 6)]
    whole = [net(StageSpec("channel_attention", 1, 16, e, head_dim=8)) for e in (1, 6)]
    assert reduced[0].id == reduced[1].id and whole[0].id != whole[1].id


STAGE = {"op": "mbconv", "depth": 1, "width": 8, "expansion": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"op": "mbconf"}, "unknown op 'mbconf': did you mean 'mbconv'"),
        ({"depth": 0}, r"`depth` of a mbconv stage must be a whole number of at least 1, got 0"),
        ({"depth": 1.5}, r"`depth` .* got 1.5"),
        ({"width": True}, r"`width` .* got True"),
        ({"expansion": math.nan}, r"`expansion` .* must be a finite number above 0, got nan"),
        ({"expansion": -1}, r"`expansion` .* got -1"),
        ({"expansion": "4"}, r"`expansion` .* got '4'"),
        ({"stride": 3}, "`stride` of a mbconv stage must be 1 or 2, got 3"),
        ({"kernel": 4}, r"`kernel` .* must be one of \(3, 5, 7\), got 4"),
        ({"se": "yes"}, "`se` of a mbconv stage must be true or false, got 'yes'"),
        (
            {"op": "self_attention", "width": 20, "head_dim": 8},
            "must be a multiple of its head size, got width=20 and head_dim=8: take a width from 8, 16",
        ),
        ({"op": "self_attention", "head_dim": 0}, "`head_dim` .* got 0"),
        ({"colour": 3}, "unknown field of stage 0 'colour'"),
    ],
    ids=str,
)
def test_malformed_stages_get_one_sentence(change, said):
    with pytest.raises(MetanetError, match=said) as error:
        ArchSpec.from_dict({"stem_width": 16, "stages": [STAGE | change]})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stages": []}, "at least one stage"),
        ({"stages": [STAGE], "resolution": 4}, "`resolution` .* at least 8, got 4"),
        ({"stages": [STAGE], "stem": 3}, "unknown field of an architecture 'stem': did you mean .*stem_width"),
        ({"stages": "mbconv"}, "`stages` must be a list"),
        ({"stages": [3]}, "stage 0 must be an object of named values, got 3"),
        ({"stages": [{"op": "mbconv"}]}, "stage 0 lacks the fields depth, expansion, width"),
        (
            {"stages": [{**STAGE, "op": "self_attention", "head_dim": 16, "width": 32}], "stem_width": 24},
            "the width before attention stage 0 must be a multiple of its head size, got width=24 and head_dim=16",
        ),
    ],
    ids=str,
)
def test_malformed_networks_get_one_sentence(values, said):
    with pytest.raises(MetanetError, match=said):
        ArchSpec.from_dict({"stem_width": 16, **values})


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not JSON"), ("[]", "must be an object"), ('{"stages": []}', "lacks")]
)
def test_files_that_hold_no_spec(text, said, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(text)
    with pytest.raises(MetanetError, match=rf"spec\.json.*{said}"):
        ArchSpec.load(path)
    assert path.read_text() == text
    with pytest.raises(MetanetError, match=r"cannot read the architecture .*none\.json"):
        ArchSpec.load(tmp_path / "none.json")
