"""Every snippet of README.md, CONTRIBUTING.md and docs/ is run, and prints what the page says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen_otel.demo.example_answers import answer
from kaizen_otel.demo.model_server import ModelServer
from tests.docs.pages import PAGES, Block, blocks_of
from tests.docs.snippets import SnippetRunner
from tests.examples.programs import lasting

if TYPE_CHECKING:
    from collections.abc import Iterator

SNIPPETS = [block for page in PAGES for block in blocks_of(page) if block.language == "python" and block.runs]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnippetRunner]:
    with ModelServer() as server:
        server.script(answer)
        yield SnippetRunner(server.url, tmp_path_factory.mktemp("docs"))


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_snippet_runs_and_prints_what_the_page_says(snippet: Block, runner: SnippetRunner) -> None:
    ran = runner.run("\n" * snippet.line + snippet.body, str(snippet.page))
    assert ran.status == 0, ran.stderr
    if snippet.prints is not None:
        assert lasting(ran.stdout) == lasting(snippet.prints)
    if snippet.shows is not None:
        assert lasting(snippet.shows) in lasting(ran.stderr)
