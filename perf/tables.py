"""Writes the generated tables of README.md and docs/ from perf/results and from the zoo; `--check` only compares.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Command: `make docs`.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from family_tables import family, retrodicted, retrodiction
from gvb_tables import gvb_layout, gvb_tasks, packaged_scores, packaged_times, probe_forwards, probe_solvers
from job_tables import demo, family_score, times
from network_tables import members, models
from proxy_tables import predicted, proxies, proxies_report
from ranking_tables import ranking, ranking_report, truth
from rule_tables import rules
from sampler_tables import samplers, samplers_overall, samplers_short
from space_tables import exact, space_costs, space_draws, space_others, spaces
from speed_tables import basics, forward, latency, limits, precision, supernet

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


TABLES: dict[str, Callable[[], str]] = {
    "models": models,
    "members": members,
    "spaces": spaces,
    "rules": rules,
    "basics": basics,
    "demo": demo,
    "family_score": family_score,
    "times": times,
    "samplers": samplers,
    "samplers_short": samplers_short,
    "samplers_overall": samplers_overall,
    "forward": forward,
    "limits": limits,
    "latency": latency,
    "precision": precision,
    "supernet": supernet,
    "space_draws": space_draws,
    "space_costs": space_costs,
    "space_others": space_others,
    "exact": exact,
    "family": family,
    "retrodiction": retrodiction,
    "retrodicted": retrodicted,
    "truth": truth,
    "ranking": ranking,
    "ranking_report": ranking_report,
    "proxies": proxies,
    "proxies_report": proxies_report,
    "predicted": predicted,
    "gvb_tasks": gvb_tasks,
    "gvb_layout": gvb_layout,
    "packaged_scores": packaged_scores,
    "packaged_times": packaged_times,
    "probe_forwards": probe_forwards,
    "probe_solvers": probe_solvers,
}


def written(text: str) -> str:
    """A page with its tables as they should be."""
    return _TABLE.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


def main() -> None:
    """Writes the pages, or with --check fails where one is not up to date."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if "--check" in sys.argv and text != written(text):
            raise SystemExit(f"{page.name} is not what the stored results say: run make docs")
        page.write_text(written(text), encoding="utf-8")


if __name__ == "__main__":
    main()
