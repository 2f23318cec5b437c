"""The parts of an upload form, for tests that send a form piece by piece or malformed."""

BOUNDARY = "b0undary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
END = f"\r\n--{BOUNDARY}--\r\n".encode()


def part(name: str, content: bytes = b"", file_name: str | None = None, kind: str | None = None) -> bytes:
    """A field of the form, or a file of a media type; what follows it in the stream goes on with its content."""
    named = f'; filename="{file_name}"' if file_name is not None else ""
    typed = f"\r\nContent-Type: {kind}" if kind is not None else ""
    return f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}{typed}\r\n\r\n'.encode() + content
