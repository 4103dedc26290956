"""Makes the constants, the documents and the resolved model from the registry.

Run `python semconv/generate.py` after a change of `semconv/registry` or `semconv/official`, and commit what it writes.
`--check` writes nothing and exits 1 when a rule of the registry is broken or a generated file is stale.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from semconv_generator import checks, markdown, model_json, python
from semconv_generator.resolve import attributes_of, resolve
from semconv_generator.source import Source, SourceError, read

_DIFF_LINES = 12


def outputs(source: Source) -> dict[str, str]:
    """Every generated file, by its path below this folder."""
    versions = resolve(source)
    own = attributes_of(source.own)
    official = attributes_of((*(group for delta in source.deltas for group in delta.groups), *source.official))
    return {
        "kaizen_semconv/__init__.py": python.package(source, versions),
        "kaizen_semconv/attributes.py": python.attributes("Attributes of kaizen-otel.", own.values(), versions),
        "kaizen_semconv/gen_ai.py": python.attributes(
            "The part of the official conventions that kaizen-otel emits.", official.values(), versions
        ),
        "kaizen_semconv/metrics.py": python.metrics(versions),
        "kaizen_semconv/events.py": python.events(versions),
        "kaizen_semconv/spans.py": python.spans(versions),
        "kaizen_semconv/registry.json": model_json.model(versions),
        "docs/attributes.md": markdown.attributes(own.values(), official.values(), versions),
        "docs/metrics.md": markdown.metrics(versions),
        "docs/spans.md": markdown.spans(versions),
        "docs/events.md": markdown.events(versions),
    }


def stale(root: Path, files: dict[str, str]) -> list[str]:
    """A short diff for each file whose content on disk is not the generated one."""
    return [line for name, text in files.items() for line in _diff(root / name, text)]


def _diff(path: Path, text: str) -> list[str]:
    now = path.read_text(encoding="utf-8") if path.exists() else ""
    if now == text:
        return []
    lines = list(difflib.unified_diff(now.splitlines(), text.splitlines(), "on disk", "generated", lineterm="", n=0))
    hidden = len(lines) - _DIFF_LINES
    more = [f"  … {hidden} more lines"] if hidden > 0 else []
    return [f"{path.parent.name}/{path.name} is stale", *(f"  {line}" for line in lines[:_DIFF_LINES]), *more]


def main(arguments: list[str] | None = None) -> int:
    """Generate or check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when anything is wrong or stale")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent, help="the folder that holds registry/")
    options = parser.parse_args(arguments)
    try:
        source = read(options.root)
    except SourceError as error:
        return _refuse([str(error)])
    if problems := checks.breaches(source):
        return _refuse(problems)
    files = outputs(source)
    if options.check:
        return _refuse(stale(options.root, files))
    for name, text in files.items():
        path: Path = options.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def _refuse(problems: list[str]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
