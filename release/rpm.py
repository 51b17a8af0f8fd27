"""RPM packages of a release, for EL 9; made with Debian's `rpm`."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from release.packages import PACKAGES, PLACE, Package, script, version_for
from release.pythons import EL
from release.source import Source
from release.steps import run


def make_rpms(source: Source, staged: Path, target: Path, scratch: Path) -> list[Path]:
    """All of them."""
    scratch.mkdir()
    recipe = scratch / "daqsched.spec"
    recipe.write_text(spec(source, staged))
    defined = {
        "_topdir": scratch,
        "_buildhost": "release",
        "_rpmdir": target,
        "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "_binary_payload": "w6.gzdio",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
    }
    words: list[str | Path] = ["rpmbuild", "-bb", "--quiet", "--target", platform.machine()]
    for name, value in defined.items():
        words += ["--define", f"{name} {value}"]
    run([*words, recipe], source.environ)
    return sorted(target.glob("*.rpm"))


def spec(source: Source, staged: Path) -> str:
    """The recipe, with what is staged in it."""
    packages = {package.name: package for package in PACKAGES}
    lines = {
        "VERSION": lambda name: version_for(source.version),
        "PYTHON": lambda name: EL,
        "STAGED": lambda name: str(staged),
        "SUMMARY": lambda name: packages[name].summary,
        "TEXT": lambda name: packages[name].text,
        "PRE": lambda name: script(source, "place", "pre").rstrip(),
        "POST": lambda name: script(source, name, "post").rstrip(),
        "GONE": lambda name: script(source, name, "gone").rstrip(),
        "FILES": lambda name: _files(packages[name], staged / name),
    }
    text = (source.folder / "release" / "packages" / "daqsched.spec").read_text()
    head, _, rest = text.partition("\n")  # the first line explains the words
    named = r"\b(SUMMARY|TEXT|PRE|POST|GONE|FILES) ([a-z-]+)$"
    rest = re.sub(named, lambda found: lines[found[1]](found[2]), rest, flags=re.MULTILINE)
    return re.sub(r"\b(VERSION|PYTHON|STAGED)\b", lambda found: lines[found[1]](""), rest)


def _files(package: Package, root: Path) -> str:
    """With the folder in /opt whole, which two of the packages share."""
    rows = ["%defattr(-,root,root,-)"]
    shared = root / PLACE
    if shared.is_dir():
        rows += [f"%dir /{PLACE}", f"%dir /{PLACE}/bin", f"%dir /{PLACE}/lib"]
        rows += [
            f"/{path.relative_to(root)}" for folder in ("bin", "lib") for path in sorted((shared / folder).iterdir())
        ]
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if (path.is_symlink() or path.is_file()) and not name.startswith(f"{PLACE}/"):
            kept = "%config(noreplace) " if name in package.kept else ""
            rows.append(
                f"{kept}%attr({path.lstat().st_mode & 0o777:o},root,root) /{name}"
                if not path.is_symlink()
                else f"/{name}"
            )
    if package.kept:
        rows.insert(1, "%dir /etc/daqsched")
    return "\n".join(rows)
