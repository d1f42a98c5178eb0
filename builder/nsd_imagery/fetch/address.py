"""Where a bucket is: what people write for it, and where its requests go."""

import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from nsd_imagery.errors import SourceError, UsageError, shown
from nsd_imagery.sources.missing import BUCKET
from nsd_imagery.spelling import the_word

VARIABLE: Final = "NSD_IMAGERY_SOURCE"
"""Environment variable that names another source than the public bucket: a mirror."""

_AMAZON: Final = "s3.amazonaws.com"
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SECONDS: Final = 20


@dataclass(frozen=True)
class Address:
    """A bucket's.

    Attributes:
        name: As messages name it, and as it may be written again.
        bucket: The bucket.
        endpoint: Where requests go: the host of this bucket alone, or a host that has buckets as its first folders.
        is_virtual: Whether it is the former.
    """

    name: str
    bucket: str
    endpoint: str
    is_virtual: bool


def address_of(source: Any = None) -> Address:
    """The bucket that is meant: s3://BUCKET, http(s)://HOST[:PORT]/BUCKET, or https://BUCKET.s3.amazonaws.com.

    Args:
        source: What was written; None for $NSD_IMAGERY_SOURCE, else NSD's bucket.

    Raises:
        UsageError: It is none of these.
    """
    said = the_word("source", source or os.environ.get(VARIABLE) or BUCKET)
    parts = _split(said)
    folders = [part for part in parts.path.split("/") if part]
    if parts.scheme == "s3" and not folders and _BUCKET_NAME.fullmatch(parts.netloc):
        return Address(f"s3://{parts.netloc}", parts.netloc, f"https://{parts.netloc}.{_AMAZON}", is_virtual=True)
    plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    if plain and not parts.query and len(folders) < 2:
        endpoint = f"{parts.scheme}://{parts.netloc}"
        if folders:
            return Address(f"{endpoint}/{folders[0]}", folders[0], endpoint, is_virtual=False)
        if str(parts.hostname).endswith(".amazonaws.com"):
            return Address(endpoint, str(parts.hostname).partition(".s3.")[0], endpoint, is_virtual=True)
    msg = f"source: {shown(said)} is no bucket; write s3://BUCKET or https://HOST/BUCKET (the public one: {BUCKET})"
    raise UsageError(msg)


def _split(url: str) -> SplitResult:
    """The parts of an address; none where it is none, as where its port is no number of a port."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")


def regional(address: Address) -> Address:
    """The bucket in the region that it says it is in, for one that answers with a redirection without an address.

    Raises:
        SourceError: It does not say, or is not Amazon's.
    """
    where = address.endpoint if address.is_virtual else f"{address.endpoint}/{address.bucket}"
    region = _region(where)
    if region and address.endpoint == f"https://{address.bucket}.{_AMAZON}":
        return replace(address, endpoint=f"https://{address.bucket}.s3.{region}.amazonaws.com")
    elsewhere = f"is in the region {region}" if region else "is in another region, and does not say in which"
    msg = f"{address.name}: {elsewhere}; write its address there: --source https://{address.bucket}.s3.REGION.amazonaws.com"
    raise SourceError(msg.replace("REGION", region or "REGION"))


def _region(url: str) -> str:
    """What a bucket says when it is asked; obstore does not hand headers on."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.build_opener().open(request, timeout=_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    except OSError:
        return ""
    region = headers.get("x-amz-bucket-region", "")
    return region if re.fullmatch(r"[a-z0-9-]{1,40}", region) else ""
