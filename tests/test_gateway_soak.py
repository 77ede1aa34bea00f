"""The gateway under mixed load before endpoints that misbehave: two minutes where CI runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gateway_soak.py"
MINUTES = 2.0 if os.environ.get("CI") == "true" else 0.3


def test_what_a_healthy_arm_could_serve_is_served_and_paid_as_the_endpoints_say(
    tmp_path: Path,
) -> None:
    facts_file = tmp_path / "facts.json"
    command = [sys.executable, str(SCRIPT), "--minutes", f"{MINUTES:g}", "--json", str(facts_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    facts = json.loads(facts_file.read_text())
    assert facts["faults"] == {"refused": 0, "wrong": 0, "false end": 0}, facts["examples"]
    assert facts["served"] + facts["broken_after_first_byte"] == facts["asked"] > 100
    assert facts["requests"] == facts["asked"], "every request is in the store"
    assert facts["known_usd"] == pytest.approx(facts["whole_usd"], abs=1e-9)
