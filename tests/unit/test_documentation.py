"""The page of keys and the schema are what the code says today."""

import json

import jsonschema
import yaml

from ontogeny.paths import PROJECT
from ontogeny.study.documentation import page_text, schema_text


def test_the_page_has_not_drifted():
    assert (PROJECT / "docs/config.md").read_text() == page_text(), (
        "run: python scripts/document_config.py"
    )


def test_the_schema_has_not_drifted():
    assert (PROJECT / "docs/study.schema.json").read_text() == schema_text(), (
        "run: python scripts/document_config.py"
    )


def test_the_shipped_studies_satisfy_the_schema():
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    files = [PROJECT / "config.yaml", *sorted((PROJECT / "studies").glob("*.yaml"))]
    assert len(files) >= 2
    for file in files:
        study = yaml.safe_load(file.read_text())
        assert list(validator.iter_errors(study)) == [], file
        study["corpra"] = {}
        assert list(validator.iter_errors(study)), "an unknown key must be an error"
