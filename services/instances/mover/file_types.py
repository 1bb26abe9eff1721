"""What the first bytes of data say that it is, against what its name or media type says. Reads nothing; decides nothing about a file whose kind nobody named.

A table of signatures of its own, kept to the formats that data comes in: why no library, docs/decisions/0005-what-is-inspected.md says.
"""
from __future__ import annotations

from dataclasses import dataclass

HEAD = 4096
"""So many of the first bytes are looked at."""
_BOM_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Kind:
    """A family of formats that begin alike. ``signs``: one of them fits, each a sequence of (offset, bytes) that are all there; none of text."""

    name: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    signs: tuple[tuple[tuple[int, bytes], ...], ...] = ()

    def fits(self, head: bytes) -> bool:
        """Whether data with this head can be of the family."""
        return _is_text(head) if not self.signs else any(all(head.startswith(sign, at) for at, sign in parts) for parts in self.signs)


def _kind(name: str, suffixes: str, media_types: str, *signs: bytes | tuple[tuple[int, bytes], ...]) -> Kind:
    return Kind(name, tuple(suffixes.split()), tuple(media_types.split()), tuple(((0, sign),) if isinstance(sign, bytes) else sign for sign in signs))


_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_SIGNS = tuple(((at, _HDF5),) for at in (0, 512, 1024, 2048))  # After a block of the user's.
_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_TEXT = _kind(
    "text", "csv tsv txt text md rst json jsonl ndjson geojson ipynb yaml yml toml ini cfg conf xml xsd svg html htm css js mjs py r sql sh tex bib log vcf "
    "fasta fa fastq fq gff gtf bed sam pdb cif obj kml gpx srt",
    "application/json application/x-ndjson application/geo+json application/xml application/yaml application/x-yaml application/toml application/sql "
    "application/javascript image/svg+xml")
KINDS: tuple[Kind, ...] = (
    _kind("a PNG image", "png", "image/png", b"\x89PNG\r\n\x1a\n"),
    _kind("a JPEG image", "jpg jpeg jpe jfif", "image/jpeg", b"\xff\xd8\xff"),
    _kind("a GIF image", "gif", "image/gif", b"GIF87a", b"GIF89a"),
    _kind("a TIFF image", "tif tiff", "image/tiff image/geotiff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    _kind("a WebP image", "webp", "image/webp", ((0, b"RIFF"), (8, b"WEBP"))),
    _kind("a BMP image", "bmp dib", "image/bmp image/x-ms-bmp", ((0, b"BM"), (6, b"\0\0\0\0"))),
    _kind("a PDF document", "pdf", "application/pdf", b"%PDF-"),
    _kind("an RTF document", "rtf", "application/rtf text/rtf", b"{\\rtf"),
    _kind("a PostScript document", "ps eps", "application/postscript", b"%!PS", b"\xc5\xd0\xd3\xc6"),
    _kind("an older Office document", "doc xls ppt msg", "application/msword application/vnd.ms-excel application/vnd.ms-powerpoint",
          b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    _kind("a Parquet file", "parquet pq", "application/vnd.apache.parquet application/x-parquet", b"PAR1", b"PARE"),
    _kind("an ORC file", "orc", "application/vnd.apache.orc", b"ORC"),
    _kind("an Avro file", "avro", "application/avro application/vnd.apache.avro", b"Obj\x01"),
    _kind("an Arrow file", "arrow feather", "application/vnd.apache.arrow.file", b"ARROW1", b"FEA1"),
    _kind("an HDF5 file", "h5 hdf5 he5 nc4", "application/x-hdf5 application/x-hdf", *_HDF5_SIGNS),
    _kind("a NetCDF file", "nc cdf netcdf", "application/x-netcdf application/netcdf", *_NETCDF, *_HDF5_SIGNS),
    _kind("a NumPy array", "npy", "", b"\x93NUMPY"),
    _kind("a FITS file", "fits fit fts", "image/fits application/fits", b"SIMPLE  ="),
    _kind("an SQLite database", "sqlite sqlite3 gpkg", "application/vnd.sqlite3 application/x-sqlite3 application/geopackage+sqlite3", b"SQLite format 3\0"),
    _kind("a ZIP archive", "zip docx xlsx xlsm pptx odt ods odp epub jar war whl npz kmz apk", "application/zip application/epub+zip application/java-archive "
          "application/vnd.openxmlformats-officedocument.wordprocessingml.document application/vnd.openxmlformats-officedocument.spreadsheetml.sheet "
          "application/vnd.openxmlformats-officedocument.presentationml.presentation application/vnd.oasis.opendocument.text "
          "application/vnd.oasis.opendocument.spreadsheet", b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"),
    _kind("a gzip file", "gz tgz", "application/gzip application/x-gzip", b"\x1f\x8b\x08"),
    _kind("a bzip2 file", "bz2 tbz2", "application/x-bzip2", ((0, b"BZh"), (4, b"1AY&SY")), ((0, b"BZh"), (4, b"\x17rE8P\x90"))),
    _kind("an xz file", "xz txz", "application/x-xz", b"\xfd7zXZ\0"),
    _kind("a Zstandard file", "zst", "application/zstd", b"\x28\xb5\x2f\xfd"),
    _kind("an LZ4 file", "lz4", "application/x-lz4", b"\x04\x22\x4d\x18"),
    _kind("a 7-Zip archive", "7z", "application/x-7z-compressed", b"7z\xbc\xaf\x27\x1c"),
    _kind("a RAR archive", "rar", "application/vnd.rar application/x-rar-compressed", b"Rar!\x1a\x07"),
    _kind("a tar archive", "tar", "application/x-tar", ((257, b"ustar"),)),
    _kind("a WAV sound", "wav", "audio/wav audio/x-wav", ((0, b"RIFF"), (8, b"WAVE")), ((0, b"RF64"), (8, b"WAVE"))),
    _kind("an AVI film", "avi", "video/x-msvideo", ((0, b"RIFF"), (8, b"AVI "))),
    _kind("an MP4 film", "mp4 m4a m4v heic", "video/mp4 audio/mp4 image/heic", ((4, b"ftyp"),)),
    _kind("a QuickTime film", "mov", "video/quicktime", *(((4, word),) for word in (b"ftyp", b"moov", b"mdat", b"free", b"wide"))),
    _kind("a Matroska film", "mkv webm", "video/webm video/x-matroska", b"\x1a\x45\xdf\xa3"),
    _kind("an Ogg file", "ogg oga ogv opus", "audio/ogg video/ogg", b"OggS"),
    _kind("a FLAC sound", "flac", "audio/flac", b"fLaC"),
    _kind("a program for Linux", "elf so", "application/x-executable application/x-elf", b"\x7fELF"),
    _kind("a program for macOS", "dylib", "application/x-mach-binary", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce"),
    _kind("a Java class", "class", "application/java-vm", b"\xca\xfe\xba\xbe"),
    _kind("a WebAssembly program", "wasm", "application/wasm", b"\0asm"),
    # Two letters alone would be the beginning of a text.
    _kind("a program for Windows", "exe dll sys scr com", "application/vnd.microsoft.portable-executable application/x-msdownload",
          *(((0, b"MZ"), (at, b"\0")) for at in range(2, 32)), ((0, b"MZ"), (2, b"\x90"))),
    _TEXT,
)
_BY_SUFFIX = {suffix: kind for kind in KINDS for suffix in kind.suffixes}
_BY_MEDIA_TYPE = {media_type: kind for kind in KINDS for media_type in kind.media_types}


def named(path: str, media_type: str | None) -> Kind | None:
    """What data is said to be: by the end of its name where that is a known one, else by its media type; None where neither says it."""
    stem, _, suffix = path.rpartition("/")[2].rpartition(".")
    kind = _BY_SUFFIX.get(suffix.lower()) if stem else None
    if kind is not None or not media_type:
        return kind
    plain = media_type.partition(";")[0].strip().lower()
    return _BY_MEDIA_TYPE.get(plain) or (_TEXT if plain.startswith("text/") else None)


def seen(head: bytes) -> Kind | None:
    """What the first bytes say; None where they say nothing that is known here."""
    if not head or _is_text(head):
        return _TEXT if head else None
    return next((kind for kind in KINDS if kind.signs and kind.fits(head)), None)


def unlike(path: str, media_type: str | None, head: bytes) -> tuple[str, str] | None:
    """(what data is said to be, what its first bytes are) where these are not the same; None where they are, or nobody knows."""
    said = named(path, media_type)
    if said is None or not head or said.fits(head):
        return None
    found = seen(head)
    return said.name, found.name if found is not None else "something else"


def _is_text(head: bytes) -> bool:
    """Text holds no NUL, but for one of 16 bits, which says so; and it does not begin as something else does."""
    return head.startswith(_BOM_16) or b"\0" not in head and not any(all(head.startswith(sign, at) for at, sign in parts) for parts in _NO_TEXT)


# Signs in letters alone, such as PAR1, could begin a text as well; what they are of has NULs soon after. But for a PDF, which is letters for long.
_NO_TEXT = tuple(parts for kind in KINDS for parts in kind.signs
                 if parts == ((0, b"%PDF-"),) or not all(sign.isascii() and sign.decode().isprintable() for _, sign in parts))
