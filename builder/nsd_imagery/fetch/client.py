"""The client that speaks to a bucket: where its requests go and how patient it is, whatever the environment says."""

from datetime import timedelta
from typing import Final

from obstore.exceptions import BaseError
from obstore.store import S3Store

from nsd_imagery.fetch.address import Address
from nsd_imagery.fetch.answers import ours

_SILENCE = 20.0
"""Seconds without a byte after which a request is made again."""

_TRIES = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
"""Seconds before a request is made again; each pause is twice the one before."""

_FOREVER: Final = timedelta(days=365)
"""The limit on what takes as long as the line needs: a body of any length. None cannot be said, and is 30 s."""


def client_of(address: Address) -> S3Store:
    """The client of a bucket. Nothing is asked of it yet.

    Each option that the environment could set is said: AWS_ENDPOINT_URL_S3 and others would win. A pair of keys keeps
    half a pair in the environment from being an error; nothing is signed with it.

    Raises:
        SourceError: The client takes no such address.
    """
    try:
        return S3Store(
            address.bucket,
            config={
                "endpoint": address.endpoint,
                "aws_endpoint_url_s3": address.endpoint,
                "virtual_hosted_style_request": address.is_virtual,
                "s3_express": False,
                "region": "us-east-2",
                "skip_signature": True,
                "access_key_id": "anybody",
                "secret_access_key": "anybody",
                "server_side_encryption": "AES256",
                "request_payer": False,
            },
            client_options={
                "allow_http": address.endpoint.startswith("http:"),
                "connect_timeout": timedelta(seconds=_SILENCE),
                "read_timeout": timedelta(seconds=_SILENCE),
                "timeout": _FOREVER,
            },
            retry_config={
                "max_retries": _TRIES,
                "retry_timeout": _FOREVER,
                "backoff": {
                    "base": 2,
                    "init_backoff": timedelta(seconds=_FIRST_PAUSE),
                    "max_backoff": timedelta(seconds=_LONGEST_PAUSE),
                },
            },
        )
    except BaseError as error:
        raise ours(error, address.name, "") from None
