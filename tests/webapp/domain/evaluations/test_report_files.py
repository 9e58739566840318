"""Reports that lie in storage since an earlier version are shown as those of today."""

import json
from pathlib import Path

from tests.support.resources import make_settings
from webapp.domain.evaluations import report_files
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.storage.arrays import write_bytes
from webapp.domain.storage.keys import report_key


def test_a_report_of_an_earlier_version_has_the_names_of_today(tmp_path: Path) -> None:
    resources = Resources.open(make_settings(tmp_path))
    row = Evaluation(id="a" * 32, status=Status.SUCCEEDED, report_attempt=1)
    old = {
        "summary": {"ece": 0.1, "ece_in_doubt": 0.2},
        "intervals": {"ece_in_doubt": None},
        "aggregation": {"ece_in_doubt": "15 bins"},
        "calibration": {"all_pixels": {"bins": []}, "in_doubt": {"bins": [1]}},
    }
    write_bytes(resources.storage, report_key(row.id, 1, "page.json"), json.dumps(old).encode())
    document = report_files.page_document(resources, row)
    resources.close()
    assert document == {
        "summary": {"ece": 0.1, "ece_foreground": 0.2},
        "intervals": {"ece_foreground": None},
        "aggregation": {"ece_foreground": "15 bins"},
        "calibration": {"all_pixels": {"bins": []}, "foreground": {"bins": [1]}},
    }
