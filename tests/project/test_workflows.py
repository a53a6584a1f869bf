"""Workflows, issue templates, pre-commit hooks, citation and release notes."""

import importlib.util
import re
import tomllib

import pytest
import yaml

from tests.helpers.project import ROOT, tree_files

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = {line.split("==")[0] for line in LOCK.splitlines()}


def parsed(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(path):
    return parsed(path)["jobs"].items()


def steps(path):
    return [step for _, job in jobs(path) for step in job["steps"]]


@pytest.fixture(scope="module")
def release_notes():
    spec = importlib.util.spec_from_file_location("notes", ROOT / ".github/release_notes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.release_notes


def test_the_workflows_are_ci_and_release():
    assert [path.stem for path in WORKFLOWS] == ["ci", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_to_a_commit_with_its_version_as_comment(path):
    uses = re.findall(r"^ *-? *uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(uses) == sum("uses" in step for step in steps(path)) > 0
    for use in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use), use


def test_every_action_is_pinned_to_the_same_commit_everywhere():
    uses = {step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step}
    assert len({use.split("@")[0] for use in uses}) == len(uses)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_read_only_and_jobs_get_at_most_one_more_permission(path):
    assert parsed(path)["permissions"] == {"contents": "read"}
    granted = {name: job["permissions"] for name, job in jobs(path) if "permissions" in job}
    allowed = {"publish": {"id-token": "write"}, "release": {"contents": "write"}}
    assert granted == (allowed if path.stem == "release" else {})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_has_a_time_limit_and_a_checkout_keeps_no_credentials(path):
    assert all(job["timeout-minutes"] <= 180 for _, job in jobs(path))
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_make_target_of_a_workflow_exists(path):
    script = "\n".join(step.get("run", "") for step in steps(path))
    named = {t for line in re.findall(r"^make (.+)$", script, re.MULTILINE) for t in line.split()}
    assert named
    assert named <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_script_contains_a_workflow_expression(path):
    assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")]


def test_linux_is_tested_with_every_supported_python():
    (matrix,) = [job["strategy"]["matrix"] for name, job in jobs(WORKFLOWS[0]) if name == "test"]
    supported = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert matrix["python"] == supported


def test_issue_templates_and_dependabot_have_the_required_fields():
    folder = ROOT / ".github/ISSUE_TEMPLATE"
    forms = {path.stem: parsed(path) for path in folder.glob("*.yml") if path.stem != "config"}
    assert set(forms) == {"bug", "feature", "data_layout"}
    for form in forms.values():
        assert form["name"]
        assert form["description"]
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 2
        assert all(part["attributes"] for part in form["body"])
    updates = parsed(ROOT / ".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions"}


def test_hooks_run_the_locked_tools_without_downloads():
    (repo,) = parsed(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    assert [hook["language"] for hook in repo["hooks"]] == ["system"] * 4
    tools = {hook["entry"].split()[0] for hook in repo["hooks"]}
    assert tools == {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/codespell"}
    assert {"ruff", "mypy", "codespell", "pre-commit"} <= LOCKED


def test_coverage_has_a_minimum():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tool["coverage"]["report"]["fail_under"] >= 95
    assert tool["coverage"]["run"]["source_pkgs"] == ["ffpp_tools", "classify", "data_manifests"]


def test_the_citation_has_the_required_keys_and_the_projects_version():
    citation = parsed(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["message"]
    assert citation["title"] == PROJECT["name"]
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"]
    assert all(author["name"] for author in citation["authors"])


CHANGELOG = """# Changelog

## 0.2.0 (2027-01-31)

- Two.

## 0.1.0 (2026-12-31)

- One.
- More.
"""


def test_release_notes_are_the_changelogs_section_of_the_tag(release_notes):
    assert release_notes("v0.2.0", CHANGELOG, "0.2.0") == "- Two.\n"
    assert release_notes("v0.1.0", CHANGELOG, "0.1.0") == "- One.\n- More.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "message"),
    [
        ("v0.3.0", CHANGELOG, "tag v0.3.0 does not match version 0.2.0"),
        ("0.2.0", CHANGELOG, "tag 0.2.0 does not match version 0.2.0"),
        ("v0.2.0", "# Changelog\n\n## 0.1.0 (2026-12-31)\n\n- One.\n", "no section '## 0.2.0"),
        ("v0.2.0", "## 0.2.0 (unreleased)\n\n- Two.\n", r"has no date: \(unreleased\)"),
        ("v0.2.0", "## 0.2.0 (2027-01-31)\n\n## 0.1.0 (2026-12-31)\n\n- One.\n", "is empty"),
    ],
)
def test_a_release_without_notes_is_refused(release_notes, tag, changelog, message):
    with pytest.raises(ValueError, match=message):
        release_notes(tag, changelog, "0.2.0")


def test_the_changelog_of_this_tree_has_a_section_for_its_version(release_notes):
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    dated = re.sub(r"\(unreleased\)", "(2026-12-31)", text, count=1)
    version = PROJECT["version"]
    notes = release_notes(f"v{version}", dated, version)
    assert notes in text


def test_no_tracked_file_names_the_host_of_a_package_registry():
    hosts = re.compile(rb"(pypi|pythonhosted|npmjs|crates)\.(org|com|io)")
    assert not [str(path) for path in tree_files() if hosts.search((ROOT / path).read_bytes())]
