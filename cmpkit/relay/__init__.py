"""Registration authorities that pass messages on (RFC 9483 section 5.2)."""

__all__: list[str] = []
