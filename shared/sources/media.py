"""Media types by file name: the standard table, and the kinds of data files that it does not know."""
from __future__ import annotations

import functools
import mimetypes

_DATA = {
    ".parquet": "application/vnd.apache.parquet", ".arrow": "application/vnd.apache.arrow.file",
    ".feather": "application/vnd.apache.arrow.file", ".avro": "application/vnd.apache.avro", ".orc": "application/vnd.apache.orc",
    ".csv": "text/csv", ".tsv": "text/tab-separated-values", ".json": "application/json", ".jsonl": "application/jsonl",
    ".ndjson": "application/x-ndjson", ".geojson": "application/geo+json", ".topojson": "application/json",
    ".yaml": "application/yaml", ".yml": "application/yaml", ".toml": "application/toml", ".xml": "application/xml",
    ".nii": "application/x-nifti", ".nii.gz": "application/x-nifti", ".dcm": "application/dicom", ".mgz": "application/x-mgh",
    ".h5": "application/x-hdf5", ".hdf5": "application/x-hdf5", ".nc": "application/x-netcdf", ".zarr": "application/x-zarr",
    ".npy": "application/x-npy", ".npz": "application/x-npz", ".pkl": "application/x-pickle", ".mat": "application/x-matlab-data",
    ".fits": "application/fits", ".tif": "image/tiff", ".tiff": "image/tiff", ".edf": "application/x-edf",
    ".sqlite": "application/vnd.sqlite3", ".db": "application/vnd.sqlite3", ".duckdb": "application/x-duckdb",
    ".fasta": "text/x-fasta", ".fastq": "text/x-fastq", ".fastq.gz": "text/x-fastq", ".vcf": "text/x-vcf", ".bam": "application/x-bam",
    ".md": "text/markdown", ".log": "text/plain", ".ipynb": "application/x-ipynb+json", ".py": "text/x-python",
    ".gz": "application/gzip", ".bz2": "application/x-bzip2", ".xz": "application/x-xz", ".zst": "application/zstd",
    ".zip": "application/zip", ".tar": "application/x-tar", ".7z": "application/x-7z-compressed", ".onnx": "application/x-onnx",
    ".safetensors": "application/x-safetensors", ".webp": "image/webp",
}


@functools.cache
def _standard() -> mimetypes.MimeTypes:
    # Not the module's own table: that reads the machine's files, and the answer would differ from host to host.
    return mimetypes.MimeTypes(filenames=())


@functools.lru_cache(maxsize=4096)
def _of_suffix(suffix: str) -> str | None:
    return _standard().types_map[True].get(suffix) or _standard().types_map[False].get(suffix)


def media_type(name: str) -> str:
    """The media type of a file of this name; ``application/octet-stream`` when none is known."""
    stem, dot, suffix = name.lower().rpartition(".")
    if not dot or not stem:
        return "application/octet-stream"
    inner = stem.rpartition(".")[2]
    return (_DATA.get(f".{inner}.{suffix}") or _DATA.get("." + suffix) or _of_suffix("." + suffix)
            or "application/octet-stream")
