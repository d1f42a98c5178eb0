"""What a bucket and its client say, as one line of ours.

The client has classes of errors for few; all else is some thirty lines of text, in which the cause is looked up.
"""

import re

from nsd_imagery.errors import AccessError, DataError, MissingDataError, NSDImageryError, SourceError, printable, reason

AGAIN = "nothing is broken, run the same command again"

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_SYSTEM = re.compile(r'message: "([^"]+)"')
_CERTIFICATE = re.compile(
    r"\b(UnknownIssuer|Expired|NotValidForName\w*|SelfSigned\w*|CaUsedAsEndEntity|BadSignature)\b"
)

_SENTENCES = (
    ("NotPartial", "does not heed which bytes are asked for: a proxy between may, or the mirror cannot"),
    ("UnexpectedRange", "answered with other bytes than were asked for"),
    ("dns error", f"no such host is known here; {AGAIN} when the network is back"),
    ("TimedOut", f"is silent; {AGAIN} when the network is better"),
    ("kind: Timeout", f"is silent; {AGAIN} when the network is better"),
    ("InvalidListResponse", "answered the listing with something else than a list"),
    ("response body", f"hung up in the midst of a file; {AGAIN}"),
)
_PROXY = "the proxy asks who you are (407): put user and password into HTTPS_PROXY, http://USER:PASSWORD@HOST:PORT"


def is_redirection(error: Exception) -> bool:
    """Whether a bucket says that it is in another region, and not in which."""
    return "BareRedirect" in str(error)


def ours(error: Exception, bucket: str, key: str) -> NSDImageryError:
    """Our error for one of the client's.

    Args:
        error: What was raised.
        bucket: Its name, for the message.
        key: What was asked for.
    """
    said = str(error)
    found = _STATUS.search(said)
    if found:
        return _of_status(int(found[1]), said, bucket, key)
    if is_redirection(error):
        return SourceError(f"{bucket}: is in another region, and in the one that it names as well")
    if "InvalidPath" in said:
        return AccessError(f"{bucket}: lists a key under {key} that is no path of a file")
    if "407" in said or "proxy authentication" in said.lower():
        return SourceError(f"{bucket}: {_PROXY}")
    if "certificate" in said.lower():
        kind = _CERTIFICATE.search(said)
        why = f" ({kind[1]})" if kind else ""
        return SourceError(
            f"{bucket}: its certificate is not trusted{why}; where a proxy has its own, name the file of its "
            "authority: SSL_CERT_FILE=FILE"
        )
    sentence = next((sentence for sign, sentence in _SENTENCES if sign in said), None)
    if sentence is None:
        system = _SYSTEM.search(said)
        why = printable(system[1]) if system else _cause(said)
        sentence = f"cannot be reached ({why}); {AGAIN} when the network is back"
    return SourceError(f"{bucket}: {sentence}")


def web_page(bucket: str) -> SourceError:
    """For a page where data should be."""
    return SourceError(
        f"{bucket}: answers with a web page, as networks do where one has to log in first: open any page in a browser, "
        "then run the same command again"
    )


def cut_short(bucket: str, key: str) -> SourceError:
    """For an answer of another length than was asked for."""
    return SourceError(f"{key}: {bucket} sent another number of bytes than was asked for; {AGAIN}")


def changed(bucket: str, key: str, what: str = "") -> DataError:
    """For a file that is another than the one whose parts came before."""
    return DataError(f"{key}: was changed in {bucket} while it was fetched{what}; run the same command again")


def _of_status(status: int, said: str, bucket: str, key: str) -> NSDImageryError:
    code = _CODE.search(said)
    what = f"{status} {code[1]}" if code else str(status)
    if status == 404 and (code is None or code[1] != "NoSuchBucket"):
        return MissingDataError(f"{key}: not in {bucket}")
    if status == 404:
        return MissingDataError(f"{bucket}: no such bucket")
    if status in (401, 403):
        return AccessError(f"{key}: not public in {bucket} ({what})")
    if status in (412, 416):
        return changed(bucket, key, f" ({what})")
    if status == 407:
        return SourceError(f"{bucket}: {_PROXY}")
    if status in (429, 500, 502, 503, 504):
        return SourceError(f"{bucket}: is busy, also when asked again and again ({what}); {AGAIN} in a while")
    return SourceError(f"{bucket}: answered {what} for {key}; {AGAIN}")


def _cause(said: str) -> str:
    """The end of the first line, which is the innermost error."""
    first = said.strip().splitlines()[0] if said.strip() else "no reason was given"
    return reason(ValueError(first.rpartition(" - ")[2]))
