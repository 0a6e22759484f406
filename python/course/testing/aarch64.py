"""The conformance program for 64-bit ARM, cross-compiled on a Debian machine of another kind."""

import os
import shutil

from ..bootstrap import debian
from ..bootstrap.build import build
from ..bootstrap.steps import Step, failure, run_logged
from ..paths import BUILD, ROOT, shown

FOLDER = BUILD / "aarch64"
PROGRAM = FOLDER / "tests" / "conformance"
RUN = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
# The libraries of the backends and of the tests, as Debian compiled them for arm64. They are only
# unpacked, beside the machine's own ones: no second architecture is added to its dpkg.
LIBRARIES = ["libtbb12", "libtbb-dev", "libxsimd-dev", "libxtensor-dev", "xtl-dev", "doctest-dev"]
PACKAGES = BUILD / "aarch64-packages"
OPTIONS = [
    f"--cross-file={ROOT}/tests/cross/aarch64.ini",
    "-Dpython=disabled",
    "-Dprograms=false",
    "-Dconformance=true",
    # Several files compiled as one: it is quicker, and nobody edits a file and compiles it again.
    "-Dunity=on",
    "-Dunity_size=8",
    "-Db_pch=false",
]


def build_conformance() -> None:
    """Fetches what it needs and does not find, and compiles. Raises SetupError."""
    debian.install({"portability"})
    _unpack()
    build(FOLDER, OPTIONS, ["tests/conformance"])


def _unpack() -> None:
    """Puts LIBRARIES into build/aarch64-packages/root, where the cross file looks for them."""
    stamp = PACKAGES / "unpacked"
    asked = "\n".join(LIBRARIES)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == asked:
        return
    shutil.rmtree(PACKAGES, ignore_errors=True)
    for folder in ["lists/partial", "archives/partial", "root"]:
        (PACKAGES / folder).mkdir(parents=True)
    with Step(f"Debian packages for arm64, {len(LIBRARIES)} to unpack") as step:
        step.report("reading the package lists")
        # As in debian.py, a source of packages that cannot be reached is no harm by itself.
        _apt("update", ["update"], step)
        if _apt("download", ["download", *LIBRARIES], step):
            raise failure("apt-get could not download the libraries for arm64.", _log("download"))
        for archive in sorted(PACKAGES.glob("*.deb")):
            step.report(f"unpacking {archive.name}")
            command = ["dpkg-deb", "--extract", archive, PACKAGES / "root"]
            if run_logged(command, _log("unpack")):
                raise failure(f"dpkg-deb could not unpack {shown(archive)}.", _log("unpack"))
            archive.unlink()
        shutil.rmtree(PACKAGES / "lists")
    stamp.write_text(asked, encoding="utf-8")


def _apt(name: str, arguments: list[str], step: Step) -> int:
    """apt-get with lists of its own, of another architecture; it needs no rights. Exit status."""
    places = {"State::Lists": PACKAGES / "lists", "Cache": PACKAGES}
    options = ["-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64"]
    for place, folder in places.items():
        options += ["-o", f"Dir::{place}={folder}"]
    if os.geteuid() == 0:
        # Or else it wants to become a user who cannot write here.
        options += ["-o", "APT::Sandbox::User=root"]
    command = ["apt-get", "-q", *options, *arguments]
    return run_logged(command, _log(name), on_line=step.report, cwd=PACKAGES)


def _log(name: str) -> str:
    return f"apt-arm64-{name}.log"
