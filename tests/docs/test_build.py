"""Pages agree with the code, and can be read on GitHub, on the site and offline."""

import re
import sys
from pathlib import Path
from subprocess import CompletedProcess

from docs.pages import DOCS, PAGES
from support import needs_azure, run_program


def generate(*arguments: str) -> CompletedProcess[str]:
    """Run the script that writes the generated blocks of pages."""
    return run_program(sys.executable, DOCS / "generate.py", *arguments)


@needs_azure  # its commands are documented, too
def test_generated_blocks_of_every_page_agree_with_the_code() -> None:
    result = generate("--check")
    assert result.returncode == 0, result.stderr


def test_outdated_block_is_reported_and_regenerated(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run_parameters: base -->\n| old |\n<!-- end -->\nAfter.\n", "utf-8")
    result = generate("--check", str(tmp_path))
    assert result.returncode == 1
    assert f"{page}: out of date; run python docs/generate.py" in result.stderr
    assert "| old |" in page.read_text("utf-8")
    assert generate(str(tmp_path)).returncode == 0
    text = page.read_text("utf-8")
    assert "| old |" not in text
    assert "| `mnist_data` | " in text
    assert text.endswith("\n\n<!-- end -->\nAfter.\n")
    assert generate("--check", str(tmp_path)).returncode == 0


WRONG = {
    "<!-- parameters: Sweep -->\n<!-- end -->": "no parameters 'Sweep' in any of quartet.",
    "<!-- command: kedro cloud plane -->\n<!-- end -->": "no command 'kedro cloud plane'",
    "<!-- pipeline: lost -->\n<!-- end -->": "no pipeline 'lost'; known: ",
    "<!-- run_parameters: azure -->\n<!-- end -->": "nothing in conf/azure uses runtime_params",
    "<!-- pipelines: a -->\n<!-- end -->": "no marker 'pipelines'; use one of parameters, ",
    "<!-- pipeline: a -->\n": "no end of the block '<!-- pipeline: a -->'",
    "<!-- pipeline: a -->\n<!-- pipeline: b -->\n<!-- end -->": "no end of the block '<!-- pip",
}


def test_wrong_marker_is_reported(tmp_path: Path) -> None:
    for number, text in enumerate(WRONG):
        (tmp_path / f"{number}.md").write_text(text, "utf-8")
    result = generate(str(tmp_path))
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == len(WRONG)
    for number, (line, message) in enumerate(zip(lines, WRONG.values(), strict=True)):
        assert line.startswith(f"{tmp_path}/{number}.md: {message}")


def test_marker_in_a_block_of_code_is_unchanged(tmp_path: Path) -> None:
    text = "```markdown\n<!-- pipeline: mine -->\n<!-- end -->\n```\n"
    (tmp_path / "page.md").write_text(text, "utf-8")
    result = generate("--check", str(tmp_path))
    assert result.returncode == 0, result.stderr


def test_pages_are_complete() -> None:
    """Guillemets mark missing text."""
    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if re.search("[«»]", line)] == []


def test_tables_have_as_many_cells_on_github() -> None:
    """GitHub ends a cell at each bar without a backslash, even within code."""
    texts = (re.sub(r"^(`{3,}).*?^\1$", "", p.read_text("utf-8"), flags=re.M | re.S) for p in PAGES)
    for table in (table for text in texts for table in re.findall(r"(?:^\|.*\n)+", text, re.M)):
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        assert len(set(cells)) == 1, table


def test_links_and_pictures_lead_to_files_of_the_repository() -> None:
    """Pages are read on GitHub, too, where nothing is built."""
    for page in PAGES:
        text = re.sub(r"^(`{3,}).*?^\1$|`[^`\n]+`", "", page.read_text("utf-8"), flags=re.M | re.S)
        targets = re.findall(r"\]\((?![a-z]+:)([^)\s#]+)", text)
        assert [name for name in targets if not (page.parent / name).exists()] == [], page


def test_site_needs_no_network(site: Path) -> None:
    """Scripts, styles and pictures are part of the site; links may lead elsewhere."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)  # with the page for unknown addresses
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img)[^>]*\bsrc=\"?([^\s\">]+)", text)
        fetched += re.findall(r"<link[^>]*rel=\"?stylesheet[^>]*href=\"?([^\s\">]+)", text)
        assert fetched
        assert [url for url in fetched if re.match(r"(https?:)?//", url)] == []
