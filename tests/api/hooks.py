"""What schemathesis has to know of Errand: who asks, which things exist, and how bytes are sent.

Writes how often each operation was answered how to ERRAND_FUZZ_ANSWERS, as {operation: {status: number}}.
"""
import atexit
import collections
import json
import os
import zlib

import requests
import schemathesis

KNOWN = json.loads(os.environ["ERRAND_FUZZ_IDS"])
BASE = os.environ["ERRAND_FUZZ_URL"]
TOKEN = os.environ.get("ERRAND_FUZZ_TOKEN")
SANDBOX = os.environ.get("ERRAND_FUZZ_SANDBOX")

# These end or change the sign-in that they are made with, or what later requests would be refused by: others make them, each
# with a sign-in of its own.
BY_OTHERS = {"signOut", "endSignIns", "endSignIn", "switchOrg", "setSettings", "removeMember", "changeMember"}

# These take the token of a sandbox.
BY_SANDBOXES = {"getSnapshot", "putSnapshot", "callModel"}
# Who ends a session ends one that nobody else needs.
ENDS = {"endSession"}


def sign_in(login):
    answer = requests.post(f"{BASE}/auth/dev", json={"login": login}, timeout=20)
    answer.raise_for_status()
    return answer.json()["token"]


class Credential:
    def get(self, case, context):
        name = case.operation.definition.raw.get("operationId")
        if name in BY_SANDBOXES:
            return SANDBOX
        return sign_in("another") if name in BY_OTHERS else TOKEN

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


if TOKEN:
    schemathesis.auth(refresh_interval=None)(Credential)


@schemathesis.serializer("application/gzip")
def as_bytes(context, value):
    """What is in a snapshot is nobody's business but the runner's: any bytes are one."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def existing(value, name):
    """Something that exists, instead of half of the ids that do not."""
    if not isinstance(value, str) or "_" not in value:
        return value
    kind = value.split("_", 1)[0]
    known = KNOWN.get("doomed" if name in ENDS else kind, [])
    number = zlib.crc32(value.encode("utf-8", "replace"))
    well_formed = value.replace("_", "").replace("-", "").isalnum() and value.isascii() and len(value) <= 80
    return known[number // 2 % len(known)] if known and well_formed and number % 2 else value


def whole(value):
    """Whole numbers are written without a fraction: to JSON Schema 7.0 is one, to serde it is not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    return [whole(inner) for inner in value] if isinstance(value, list) else value


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path_parameters:
        operation = case.operation.definition.raw.get("operationId")
        case.path_parameters = {name: existing(value, operation) for name, value in case.path_parameters.items()}
    if isinstance(case.body, (dict, list)):
        case.body = whole(case.body)


answers = collections.defaultdict(collections.Counter)


@schemathesis.hook
def after_call(context, case, response):
    # Methods that an address does not know are tried as well.
    if case.method.upper() == case.operation.method.upper():
        answers[case.operation.definition.raw["operationId"]][response.status_code] += 1


@atexit.register
def write_answers():
    with open(os.environ["ERRAND_FUZZ_ANSWERS"], "w", encoding="utf-8") as file:
        json.dump(answers, file)
