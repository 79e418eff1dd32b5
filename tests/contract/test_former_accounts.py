"""What is taken away of a former domain is what features make."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_playbook_knows_the_accounts_of_all_features() -> None:
    features = [yaml.safe_load(path.read_text()) for path in (ROOT / "features").glob("*.yml")]
    jids = {
        feature["names"][user].replace("{{ options.domain }}", "*")
        for feature in features
        for user in feature.get("accounts", {})
    }
    remote = [each["remote_bridges"]["account"] for each in features if "remote_bridges" in each]
    assert remote
    jids |= {
        jid.replace("{{ bridge.name }}", "*").replace("{{ options.domain }}", "*") for jid in remote
    }
    assert len(jids) > 3
    said = yaml.safe_load((ROOT / "playbooks/vars/model.yml").read_text())
    assert set(said["prosody_accounts_former"]) == jids
