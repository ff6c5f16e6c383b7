"""`gradest list rules` prints each function of NumPy's and SciPy's through which derivatives go."""

from click.testing import CliRunner

import gradest
from gradest_bench.command.main import main


def test_every_rule_is_listed() -> None:
    result = CliRunner().invoke(main, ["list", "rules"])
    assert result.exit_code == 0
    lines = [line.strip() for line in result.output.splitlines()]
    names = gradest.get_backend("numpy").differentiable()
    assert f"{len(names)} functions" in lines[0]
    assert set(names) <= set(lines)
