"""Submissions: a zip of the regions' bodies with a manifest; written by students, read with care.

    manifest.json               homework, needle version, date; file and sha256 of each region
    regions/hw1.reshape.cc      the body

Of a zip, only the bodies of known regions are taken; everything else in it is listed and ignored.
What no honest tool writes (absolute names, "..", links, bombs) refuses the whole zip.
"""

import datetime
import hashlib
import json
import stat
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import CourseError
from . import regions
from .grade import Submission
from .regions import Region
from .spec import Homework

MANIFEST = "manifest.json"
FOLDER = "regions"
SCHEMA = "needle/submission/v1"
MAX_ENTRIES = 500
MAX_TOTAL = 8 << 20
MAX_RATIO = 200
MAX_NAME = 200
# Direction overrides make a text read otherwise than the compiler reads it.
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Rejected(CourseError):
    """The zip is refused; nothing of it was used."""


@dataclass
class Received:
    """What a zip held."""

    submission: Submission
    ignored: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


def write(root: Path, homework: Homework, out: Path, version: str) -> list[str]:
    """Writes the submission of a tree; gives the regions that are not written yet."""
    known = regions.scan(root)
    missing = [name for name in homework.regions if name not in known]
    if missing:
        raise CourseError(f"The tree has no region {', '.join(missing)}: its markers are missing.")
    entries: dict[str, Any] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in homework.regions:
            region = known[name]
            data = region.body.encode()
            entries[name] = {"file": region.path, "sha256": hashlib.sha256(data).hexdigest()}
            archive.writestr(f"{FOLDER}/{name}{region.suffix}", data)
        manifest = {
            "schema": SCHEMA,
            "homework": homework.name,
            "needle": version,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "regions": entries,
        }
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return [name for name in homework.regions if known[name].is_starter]


def read(path: Path, homework: Homework, known: dict[str, Region]) -> Received:
    """The bodies in a zip. Raises Rejected with the reason."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = _unpack(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Rejected(f"{path.name} is refused: it is no sound zip file ({error}).") from None
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror or error}.") from None
    manifest = _manifest(texts, homework)
    received = Received(Submission({}))
    wanted = {f"{FOLDER}/{name}{known[name].suffix}": name for name in homework.regions}
    for entry, data in texts.items():
        if entry == MANIFEST:
            continue
        name = wanted.get(entry)
        if name is None:
            received.ignored.append(entry)
            continue
        try:
            body = regions.clean(data, entry)
            regions.check_body(body, entry)
        except regions.RegionError as error:
            raise Rejected(f"{entry} is refused: {error}") from None
        if "\0" in body:
            raise Rejected(f"{entry} is refused: it holds a NUL character.")
        told = manifest.get(name, {})
        if not isinstance(told, dict) or told.get("sha256") != hashlib.sha256(data).hexdigest():
            raise Rejected(f"{entry} is refused: it is not the text that the manifest speaks of.")
        if BIDI & set(body):
            received.flags.append(f"{entry} holds characters that change the direction of reading")
        received.submission.bodies[name] = body if body.endswith("\n") or not body else body + "\n"
        received.submission.places[name] = f"{name}{known[name].suffix}"
    return received


def _unpack(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """All files of the zip by name, after every name was looked at; bytes are counted."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise Rejected(f"The zip is refused: {len(infos)} entries, at most {MAX_ENTRIES}.")
    seen: set[str] = set()
    for info in infos:
        if fault := _fault(info):
            raise Rejected(f"The zip is refused: entry {info.orig_filename!r:.120} {fault}.")
        folded = unicodedata.normalize("NFC", info.filename).casefold().rstrip("/")
        if folded in seen:
            raise Rejected(f"The zip is refused: {info.filename!r} is in it twice.")
        seen.add(folded)
    texts: dict[str, bytes] = {}
    left = MAX_TOTAL
    for info in infos:
        if info.is_dir():
            continue
        with archive.open(info) as file:  # checks the local header against the directory
            data = file.read(min(left, regions.MAX_BYTES) + 1)
        left -= len(data)
        if len(data) > regions.MAX_BYTES or left < 0:
            raise Rejected(f"The zip is refused: {info.filename!r} is too large when unpacked.")
        if len(data) > 4096 and len(data) > MAX_RATIO * max(1, info.compress_size):
            raise Rejected(f"The zip is refused: {info.filename!r} unpacks to far more than it is.")
        texts[info.filename] = data
    return texts


def _fault(info: zipfile.ZipInfo) -> str:
    """What is wrong with an entry's name or kind, or nothing."""
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name):
        return "has control characters in its name"
    if len(name.encode(errors="replace")) > MAX_NAME:
        return "has a name that is too long"
    if name.startswith("/") or "\\" in name or ":" in name:
        return "has an absolute or foreign path"
    parts = PurePosixPath(name).parts
    if ".." in parts or not parts or len(parts) > 8:
        return "leads out of the zip's folder or too deep"
    if any(part.startswith(("-", "@")) for part in parts):
        return "begins with a character that commands take for an option"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a link or a device, not a file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.file_size > regions.MAX_BYTES and not info.is_dir():
        return "is too large"
    return ""


def _manifest(texts: dict[str, bytes], homework: Homework) -> dict[str, Any]:
    try:
        manifest = json.loads(texts[MANIFEST].decode())
        schema, name, entries = manifest["schema"], manifest["homework"], manifest["regions"]
    except (KeyError, ValueError, TypeError, RecursionError):
        raise Rejected(
            f"The zip is refused: it has no readable {MANIFEST}; ./course submit writes one."
        ) from None
    if schema != SCHEMA or not isinstance(entries, dict):
        raise Rejected(f"The zip is refused: its manifest is not of the kind {SCHEMA}.")
    if name != homework.name:
        raise Rejected(
            f"The zip is refused: it is a submission of {name!r:.20}, not of {homework.name}."
        )
    return entries
