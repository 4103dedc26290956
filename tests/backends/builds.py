"""Builds the backends' programs from their committed Go modules, once per version, into the user's cache.

Used by the fixtures of this folder and, as a script, by `make collector`, `make jaeger` and `make prometheus`
(`python3 tests/backends/builds.py jaeger` prints the path of the program). Only the standard library and Go are needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTOR_CONFIG: Final = Path(__file__).resolve().parents[2] / "collector-config"
_HASHED_SUFFIXES: Final = frozenset({".go", ".mod", ".sum"})


class BuildError(RuntimeError):
    """A program could not be built; the message says what is missing or what Go answered."""


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A program that plain `go build -mod=readonly` makes of a committed module.

    Attributes:
        name: What make, the tests and the finished file call it.
        version: The version of the program, as it reports itself.
        module_dir: The folder with go.mod and go.sum, below collector-config.
        package: The import path of its main package.
        tags: Build tags.
        version_symbol: The Go string variable that takes the version, where the linker has to set it.
        version_prefix: What stands before the version in that variable.
    """

    name: str
    version: str
    module_dir: str
    package: str
    tags: tuple[str, ...] = ()
    version_symbol: str = ""
    version_prefix: str = ""

    @property
    def source(self) -> Path:
        """The folder with go.mod and go.sum."""
        return COLLECTOR_CONFIG / self.module_dir

    def command(self, output: Path) -> list[str]:
        """The whole build command; everything that shapes the program is in it."""
        # No VCS stamp: it would make the program depend on the commit, and needs git.
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        if self.tags:
            command += ["-tags", ",".join(self.tags)]
        ldflags = "-s -w"
        if self.version_symbol:
            ldflags += f" -X {self.version_symbol}={self.version_prefix}{self.version}"
        return [*command, "-ldflags", ldflags, "-o", str(output), self.package]


# `remove_all_sd` leaves out Prometheus' service discovery for 20 clouds, and with it minutes of build time.
# File and HTTP discovery stay.
PROGRAMS: Final[dict[str, GoProgram]] = {
    program.name: program
    for program in (
        GoProgram("otelcol-kaizen", "0.158.0", "otelcol/src", "."),
        GoProgram(
            "jaeger",
            "2.13.0",
            "jaeger",
            "github.com/jaegertracing/jaeger/cmd/jaeger",
            version_symbol="github.com/jaegertracing/jaeger/internal/version.latestVersion",
            version_prefix="v",
        ),
        GoProgram(
            "prometheus",
            "3.13.2",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/prometheus",
            tags=("remove_all_sd",),
            version_symbol="github.com/prometheus/common/version.Version",
        ),
        # A module of its own: it needs clouds' clients that Prometheus is built without here.
        GoProgram(
            "promtool",
            "3.13.2",
            "promtool",
            "github.com/prometheus/prometheus/cmd/promtool",
            tags=("remove_all_sd",),
            version_symbol="github.com/prometheus/common/version.Version",
        ),
    )
}


def cache_dir() -> Path:
    """The folder of all built programs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kaizen-otel" / "backends"


def fingerprint(program: GoProgram, go_version: str) -> str:
    """A short hash of everything that the finished program depends on."""
    digest = hashlib.sha256()
    digest.update("\0".join([go_version, *program.command(Path("program"))]).encode())
    for path in sorted(path for path in program.source.iterdir() if path.suffix in _HASHED_SUFFIXES):
        digest.update(f"\0{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def build(program: GoProgram) -> Path:
    """Return the program's path, building it when this version is not in the cache yet.

    Raises:
        BuildError: Go is missing, or the build failed.
    """
    folder = cache_dir() / f"{program.name}-{program.version}-{fingerprint(program, _go_version())}"
    target = folder / program.name
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock"):
        if not target.exists():
            _compile(program, target)
    return target


def _go_version() -> str:
    if shutil.which("go") is None:
        raise BuildError(
            "The real backends are built with Go, which is not on the PATH: install Go 1.25 or later "
            "(https://go.dev/doc/install), then run this again."
        )
    # One line per variable: the tool chain and the machine the program is for.
    answer = subprocess.run(
        ["go", "env", "GOVERSION", "GOOS", "GOARCH"],  # noqa: S607 -- Go's place differs from machine to machine
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise BuildError(f"`go env` failed: {answer.stderr.strip()}")
    return answer.stdout


def _compile(program: GoProgram, target: Path) -> None:
    unfinished = target.with_suffix(".unfinished")
    # CGO off: no C compiler needed, and one compile cache for all three programs. GOWORK off: a workspace above the
    # checkout must not change what is built.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    _say(f"building {program.name} {program.version} (the first time takes minutes) ...")
    started = time.monotonic()
    answer = subprocess.run(  # noqa: S603 -- the command is made of the constants above
        program.command(unfinished),
        cwd=program.source,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise BuildError(f"`go build` of {program.name} in {program.source} failed:\n{answer.stderr.strip()}")
    unfinished.rename(target)  # only a whole program ever has the name
    _say(f"built {program.name} in {time.monotonic() - started:.0f} s: {target}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One build of one version at a time: a second session waits for the first one's result."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def main(names: list[str]) -> int:
    """Build the named programs and print their paths, one per line."""
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown or not names:
        _say(f"usage: builds.py NAME...   with NAME one of: {', '.join(PROGRAMS)}")
        return 2
    try:
        for name in names:
            sys.stdout.write(f"{build(PROGRAMS[name])}\n")
    except BuildError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
