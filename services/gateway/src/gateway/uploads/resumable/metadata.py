"""Upload-Metadata: file name, media type, and the fields of the form."""

from dataclasses import dataclass

from gateway.errors import InvalidForm
from gateway.uploads.acceptance import FIELDS
from gateway.uploads.file_names import given_name

from .protocol import metadata_of

_NAME, _TYPE = ("filename", "name"), ("filetype", "type", "contenttype", "mimetype")
# Names that tus clients and upload pages add, and that are not used.
_IGNORED = frozenset(
    {
        *("relativepath", "path", "fullpath", "webkitrelativepath", "directory"),
        *("lastmodified", "lastmodifieddate", "modified", "mtime", "ctime", "created"),
        *("size", "filesize", "fingerprint", "id", "fileid", "uploadid"),
        *("caption", "source", "isremote", "extension", "ext"),
    }
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The contents of the header; `fields` are the fields of the form."""

    file_name: str
    content_type: str | None
    fields: dict[str, str]


def chosen_of(header: str) -> Chosen:
    """Parse an Upload-Metadata header; raises ValueError if it is not valid, InvalidForm for unknown fields."""
    pairs = metadata_of(header)
    fields = {name: value.decode() for name, value in pairs.items() if name in FIELDS}
    others = {_plain(name): value for name, value in pairs.items() if name not in FIELDS}
    for name in pairs:
        if name not in FIELDS and _plain(name) not in _IGNORED.union(_NAME, _TYPE):
            known = ", ".join(("filename", "filetype", *sorted(FIELDS)))
            raise InvalidForm(f"Unknown field {name[:40]!r}; send {known} in Upload-Metadata.")
    named = next((value for key in _NAME if (value := others.get(key))), b"")
    kind = next((value for key in _TYPE if (value := others.get(key))), None)
    return Chosen(given_name(named), None if kind is None else kind.decode("latin-1"), fields)


def _plain(name: str) -> str:
    """The name without case, `_` and `-`: lastModified, last_modified."""
    return name.replace("_", "").replace("-", "").lower()
