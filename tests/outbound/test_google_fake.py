"""The fake of Google, with google-auth and bare HTTP as its callers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import google.auth.transport.requests as transport
import pytest
from google.auth.exceptions import OAuthError, RefreshError
from google.auth.identity_pool import Credentials as PoolCredentials
from google.auth.identity_pool import SubjectTokenSupplier
from google.oauth2.credentials import Credentials
from google.oauth2.service_account import Credentials as KeyCredentials
from google.oauth2.sts import Client

from support.faulty import answer, html
from support.google import OAUTH, STS, Google
from support.google_boundary import ROLES, BoundaryError, rules
from support.google_tokens import AUTH, CLOUD, Account, Provider
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOW = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
ISSUER = "https://idp.acme.test"
POOL = "//iam.googleapis.com/projects/111111111111/locations/global/workloadIdentityPools/agents"
PROVIDER = f"{POOL}/providers/acme-idp"
ALICE = f"principal:{POOL}/subject/alice"
ACCOUNT = "reader@proj-dev.iam.gserviceaccount.com"
BUCKET = "acme-data"
READ_ONLY = f"{AUTH}devstorage.read_only"
TYPE = "urn:ietf:params:oauth:token-type:"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
LIST = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"


@pytest.fixture(scope="module")
def running() -> Iterator[Google]:
    """Run one fake for all tests here."""
    with Google(keys={}) as started:
        yield started


@pytest.fixture
def google(running: Google) -> Google:
    """Return a fake with one provider, one account that it may become, and two buckets."""
    running.clock = lambda: NOW
    running.keys = {ISSUER: [signer("ES256").jwk()]}
    running.providers = [Provider(PROVIDER, ISSUER, claims={"env": "dev"})]
    running.accounts = {ACCOUNT: Account({ALICE, "user:bob@acme.test"})}
    running.roles = {
        f"serviceAccount:{ACCOUNT}": {
            BUCKET: {"roles/storage.objectUser"},
            "acme-other": {"roles/storage.objectUser"},
        }
    }
    running.signed_in = {"made-up-refresh": "user:bob@acme.test"}
    running.given, running.asked, running.instead = {}, [], {}
    running.exchanged, running.impersonated, running.bounded = {}, {}, {}
    running.buckets.held = {BUCKET: {"a": b"A", "a2": b"A2", "in/b": b"B"}, "acme-other": {}}
    return running


class Proof(SubjectTokenSupplier):
    """Gives google-auth a token that is there already."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_subject_token(self, context: object, request: object) -> str:
        """Return the token."""
        del context, request
        return self.token


def proof(by: Any = None, **claims: object) -> str:
    """Return a token of the issuer's; None takes a claim away."""
    usual: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": f"https:{PROVIDER}",
        "env": "dev",
    }
    usual |= {"iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 300}
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    return (by or signer("ES256")).token(given)


def external(
    google: Google, token: str, *, scopes: tuple[str, ...] = (CLOUD,), **other: Any
) -> PoolCredentials:
    """Return google-auth's credentials for a token of the issuer's."""
    info = {
        "type": "external_account",
        "audience": PROVIDER,
        "subject_token_type": f"{TYPE}jwt",
        "token_url": google.url + STS,
        "service_account_impersonation_url": google.impersonation(ACCOUNT),
        "subject_token_supplier": Proof(token),
        **other,
    }
    made: PoolCredentials = PoolCredentials.from_info(info, scopes=scopes)
    return made


def refreshed(credentials: Any) -> str:
    """Return the token that google-auth gets."""
    credentials.refresh(transport.Request())
    return str(credentials.token)


def bounded(google: Google, token: str, *conditions: str | None, role: str = "objectUser") -> str:
    """Return the token within a rule for each condition, as google-auth asks for it."""
    said = Client(google.url + STS).exchange_token(
        transport.Request(),
        GRANT,
        token,
        f"{TYPE}access_token",
        requested_token_type=f"{TYPE}access_token",
        additional_options=boundary(*conditions, role=role),
    )
    return str(said["access_token"])


def boundary(*conditions: str | None, role: str = "objectUser") -> dict[str, Any]:
    """Return a boundary with a rule on the bucket for each condition."""
    listed: list[dict[str, Any]] = []
    for one in conditions:
        rule: dict[str, Any] = {
            "availableResource": f"//storage.googleapis.com/projects/_/buckets/{BUCKET}",
            "availablePermissions": [f"inRole:roles/storage.{role}"],
        }
        listed.append(rule | ({"availabilityCondition": {"expression": one}} if one else {}))
    return {"accessBoundary": {"accessBoundaryRules": listed}}


def named(name: str, form: str = " == ") -> str:
    """Return the condition for a name, or a prefix, of an object."""
    text = f"'projects/_/buckets/{BUCKET}/objects/{name}'"
    return f"resource.name{form}{text}" if form == " == " else f"resource.name.{form}({text})"


def asked(
    google: Google, token: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    """Ask with AuthorizedSession; return status and content."""
    # a token alone cannot be refreshed: what is refused is refused
    with transport.AuthorizedSession(Credentials(token), refresh_status_codes=()) as session:
        dashed = {name.replace("_", "-"): value for name, value in headers.items()}
        said = session.request(method, google.url + path, data=body, headers=dashed)
        return said.status_code, said.content


def got(google: Google, token: str, name: str, bucket: str = BUCKET) -> int | bytes:
    """Return an object's content, or the status that it was refused with."""
    path = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
    status, content = asked(google, token, "GET", path)
    return content if status == 200 else status


def listed(google: Google, token: str, prefix: str) -> int | list[str]:
    """Return the names with a prefix, or the status that the list was refused with."""
    path = f"/storage/v1/b/{BUCKET}/o?prefix={quote(prefix, safe='')}"
    status, content = asked(google, token, "GET", path)
    return (
        [one["name"] for one in json.loads(content).get("items", [])] if status == 200 else status
    )


def put(google: Google, token: str, name: str) -> int:
    """Upload an object; return the status."""
    path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(name, safe='')}"
    return asked(google, token, "POST", path, b"new")[0]


# --- exchange and impersonation -------------------------------------------------------------------


def test_a_token_of_the_issuer_becomes_a_service_account(google: Google) -> None:
    """Exchange, impersonation, and objects read, listed, written and deleted with the result."""
    token = refreshed(external(google, proof()))
    assert google.given[token].member == f"serviceAccount:{ACCOUNT}"
    assert got(google, token, "in/b") == b"B"
    assert got(google, token, "none") == 404
    assert listed(google, token, "a") == ["a", "a2"]
    assert listed(google, token, "none") == []
    assert put(google, token, "new/one") == 200
    assert google.buckets.held[BUCKET]["new/one"] == b"new"
    assert asked(google, token, "GET", f"/download/storage/v1/b/{BUCKET}/o/a?alt=media")[1] == b"A"
    status, described = asked(google, token, "GET", f"/storage/v1/b/{BUCKET}/o/a")
    assert (status, json.loads(described)["size"]) == (200, "1")
    assert asked(google, token, "DELETE", f"/storage/v1/b/{BUCKET}/o/a") == (204, b"")
    assert "a" not in google.buckets.held[BUCKET]
    assert got(google, token, "a", "not-ours") == 403


def test_an_upload_of_two_parts_is_taken(google: Google) -> None:
    """What the client libraries send for small objects: multipart/related."""
    token = google.give(f"serviceAccount:{ACCOUNT}", CLOUD)
    parts = (
        b'--==7==\r\ncontent-type: application/json\r\n\r\n{"name": "two"}\r\n'
        b"--==7==\r\ncontent-type: text/plain\r\n\r\nline\r\n\r\nend\r\n--==7==--"
    )
    path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart"
    kind = 'multipart/related; boundary="==7=="'
    assert asked(google, token, "POST", path, parts, content_type=kind)[0] == 200
    assert google.buckets.held[BUCKET]["two"] == b"line\r\n\r\nend"
    assert asked(google, token, "POST", path, parts, content_type="text/plain")[0] == 400
    resumable = path.replace("multipart", "resumable")
    assert asked(google, token, "POST", resumable, parts, content_type=kind)[0] == 400


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.test"},
        {"aud": f"https:{PROVIDER}-2"},
        {"iss": "https://other.test"},
        {"env": "prod"},
        {"sub": None},
        {"sub": "x" * 128},
        {"exp": int(NOW.timestamp())},
        {"exp": None},
        {"exp": int(NOW.timestamp()) + 48 * 3600},
        {"iat": int(NOW.timestamp()) + 1},
        {"nbf": int(NOW.timestamp()) + 1},
        {"by": signer("ES256", number=1)},
        {"by": signer("EdDSA")},
    ],
)
def test_a_token_that_the_provider_does_not_trust_is_refused(
    google: Google, claims: dict[str, Any]
) -> None:
    """Signature, algorithm, issuer, audience, times, subject and attribute condition must hold."""
    with pytest.raises(OAuthError):
        refreshed(external(google, proof(**claims)))
    assert not google.given


def test_a_provider_may_name_its_audiences(google: Google) -> None:
    """Allowed audiences take the place of the provider's own name."""
    google.providers = [Provider(PROVIDER, ISSUER, ("acme",))]
    refreshed(external(google, proof(aud=["x", "acme"])))
    with pytest.raises(OAuthError, match="audience in ID Token"):
        refreshed(external(google, proof()))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"audience": PROVIDER.replace("acme-idp", "another")}, "invalid_target"),
        ({"audience": f"https:{PROVIDER}"}, "invalid_request"),
        ({"subject_token_type": f"{TYPE}saml2"}, "invalid_request"),
        ({"scopes": ("everything",)}, "invalid_scope"),
    ],
)
def test_what_the_exchange_does_not_know_is_refused(
    google: Google, changed: dict[str, Any], code: str
) -> None:
    """The provider's full resource name, known types and scopes, or an error."""
    other = {"service_account_impersonation_url": None} | changed
    with pytest.raises(OAuthError, match=code):
        refreshed(external(google, proof(), **other))


def test_an_exchange_must_be_asked_for_exactly(google: Google) -> None:
    """A parameter more, twice, empty or missing, JSON, and an Authorization header are refused."""
    good = {
        "grant_type": GRANT,
        "audience": PROVIDER,
        "scope": CLOUD,
        "requested_token_type": f"{TYPE}access_token",
        "subject_token": proof(),
        "subject_token_type": f"{TYPE}jwt",
    }
    form = "&".join(f"{name}={quote(value, safe='')}" for name, value in good.items())
    kind = {"content-type": "application/x-www-form-urlencoded"}
    request = transport.Request()

    def sent(body: str, headers: Mapping[str, str] = kind) -> Any:
        said = request(google.url + STS, "POST", body.encode(), headers)
        return said.status, json.loads(said.data).get("error")

    assert sent(form) == (200, None)
    for body in (f"{form}&resource=x", f"{form}&scope=x", f"{form}&actor_token=", form[11:]):
        assert sent(body)[0] == 400
    assert sent(form.replace("token-exchange", "x")) == (400, "unsupported_grant_type")
    assert sent(form.replace("requested_token_type=urn", "requested_token_type=x"))[0] == 400
    assert sent(form, kind | {"authorization": "Bearer x"}) == (400, "invalid_request")
    assert sent(json.dumps(good), {"content-type": "application/json"}) == (400, "invalid_request")


def test_only_who_may_makes_tokens_of_an_account(google: Google) -> None:
    """The binding on the account is enforced, and a bound token makes none."""
    with pytest.raises(RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        refreshed(external(google, proof(sub="mallory")))
    for account in ("none@proj-dev.iam.gserviceaccount.com", ACCOUNT):
        within = None if account != ACCOUNT else rules(json.dumps(boundary(None)))
        token = google.give(ALICE, CLOUD, within=within)
        assert impersonated(google, token, account=account)[0] == 403


def impersonated(
    google: Google, token: str, account: str = ACCOUNT, **body: object
) -> tuple[int, Any]:
    """Ask for a token of the account."""
    path = google.impersonation(account).removeprefix(google.url)
    given = json.dumps({"scope": [READ_ONLY]} | body).encode()
    status, said = asked(google, token, "POST", path, given, content_type="application/json")
    return status, json.loads(said)


def test_a_token_of_an_account_lives_as_long_as_asked(google: Google) -> None:
    """`lifetime` in seconds up to an hour, or what the account may; then the token is refused."""
    token = google.give("user:bob@acme.test", CLOUD)
    status, said = impersonated(google, token, lifetime="600s", delegates=[])
    assert (status, said["expireTime"]) == (200, "2030-05-17T09:40:00Z")
    google.clock = lambda: NOW + timedelta(seconds=599)
    assert got(google, said["accessToken"], "a") == b"A"
    google.clock = lambda: NOW + timedelta(seconds=600)
    assert got(google, said["accessToken"], "a") == 401
    assert impersonated(google, token, lifetime="3601s")[0] == 400
    google.accounts[ACCOUNT].longest = 43_200
    assert impersonated(google, token, lifetime="43200s")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        {"scope": []},
        {"scope": READ_ONLY},
        {"scope": [1]},
        {"scope": ["read"]},
        {"lifetime": 600},
        {"lifetime": "600"},
        {"lifetime": "0s"},
        {"delegates": ["x"]},
        {"extra": 1},
    ],
)
def test_an_impersonation_must_be_asked_for_exactly(google: Google, body: dict[str, Any]) -> None:
    """Scopes as a list, `lifetime` as a duration, nothing else."""
    token = google.give("user:bob@acme.test", CLOUD)
    status, said = impersonated(google, token, **body)
    assert (status, said["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_an_impersonation_needs_scope_and_credential(google: Google) -> None:
    """A token without the scope is 403, one that is none 401, and so are tokens of the disabled."""
    said = impersonated(google, google.give("user:bob@acme.test", READ_ONLY))[1]["error"]
    assert said["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert impersonated(google, "made-up")[1]["error"]["status"] == "UNAUTHENTICATED"
    path = google.impersonation(ACCOUNT).removeprefix(google.url)
    token = google.give("user:bob@acme.test", CLOUD)
    assert asked(google, token, "POST", path, b"{", content_type="application/json")[0] == 400
    assert asked(google, token, "POST", path, b"{}")[0] == 400
    made = impersonated(google, token)[1]["accessToken"]
    assert got(google, made, "a") == b"A"
    google.accounts[ACCOUNT].disabled = True
    assert got(google, made, "a") == 401
    assert impersonated(google, token)[0] == 403


# --- sources --------------------------------------------------------------------------------------


def test_a_refresh_token_gives_its_users_token(google: Google) -> None:
    """What application default credentials of a person do."""
    held = Credentials(
        None,
        refresh_token="made-up-refresh",
        token_uri=google.url + OAUTH,
        client_id="made-up",
        client_secret="made-up",
    )
    assert google.given[refreshed(held)].member == "user:bob@acme.test"
    google.signed_in = {}
    with pytest.raises(RefreshError, match="invalid_grant"):
        refreshed(held)
    body = b"grant_type=refresh_token&refresh_token=x"
    request = transport.Request()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for sent, code in ((body, "invalid_client"), (b"grant_type=x", "unsupported_grant_type")):
        said = request(google.url + OAUTH, "POST", sent, kind)
        assert (said.status, json.loads(said.data)["error"]) == (400, code)


def test_an_assertion_of_an_account_gives_its_token(google: Google) -> None:
    """What application default credentials of a service account do."""
    key = signer("RS256")
    google.accounts[ACCOUNT].key = key.jwk()
    now = int(NOW.timestamp())
    usual = {"iss": ACCOUNT, "scope": CLOUD, "aud": google.url + OAUTH, "iat": now, "exp": now + 60}

    class Signed(KeyCredentials):
        def __init__(self, **claims: object) -> None:
            super().__init__(None, ACCOUNT, google.url + OAUTH)  # type: ignore[no-untyped-call]
            self.claims = usual | claims

        def _make_authorization_grant_assertion(self) -> bytes:
            return key.token(self.claims).encode()

    assert google.given[refreshed(Signed())].member == f"serviceAccount:{ACCOUNT}"
    for claims in ({"iss": "x@y.test"}, {"aud": "https://x.test"}, {"exp": now}):
        with pytest.raises(RefreshError, match="invalid_grant"):
            refreshed(Signed(**claims))


# --- boundaries -----------------------------------------------------------------------------------


def test_an_exact_name_opens_that_object_alone(google: Google) -> None:
    """`==` opens `a` and neither `a2` nor any list."""
    whole = refreshed(external(google, proof()))
    token = bounded(google, whole, named("a"))
    assert got(google, token, "a") == b"A"
    assert got(google, token, "a2") == 403
    assert listed(google, token, "a") == 403
    assert put(google, token, "a") == 200
    assert put(google, token, "b") == 403
    assert got(google, token, "a", "acme-other") == 403


def test_a_prefix_opens_what_begins_with_it(google: Google) -> None:
    """`startsWith` opens the prefix's objects, the list clause its lists, and no shorter one."""
    whole = refreshed(external(google, proof()))
    token = bounded(google, whole, named("in/", "startsWith") + f" || {LIST}.startsWith('in/')")
    assert got(google, token, "in/b") == b"B"
    assert got(google, token, "a") == 403
    assert listed(google, token, "in/") == ["in/b"]
    assert listed(google, token, "in") == 403
    assert listed(google, token, "") == 403
    loose = bounded(google, whole, named("a", "startsWith"))
    assert got(google, loose, "a2") == b"A2"
    assert listed(google, loose, "a") == 403


def test_a_boundary_without_a_condition_opens_the_bucket(google: Google) -> None:
    """The condition is optional: without one the rule is for the whole bucket."""
    token = bounded(google, refreshed(external(google, proof())), None)
    assert listed(google, token, "") == ["a", "a2", "in/b"]
    assert got(google, token, "x", "acme-other") == 403


def test_rules_are_a_union_and_roles_an_upper_bound(google: Google) -> None:
    """A rule of two opens what it says; the role bounds it, and adds nothing to what one has."""
    whole = refreshed(external(google, proof()))
    token = bounded(google, whole, named("a"), named("in/b"), role="objectViewer")
    assert (got(google, token, "a"), got(google, token, "in/b")) == (b"A", b"B")
    assert put(google, token, "a") == 403
    create = bounded(google, whole, None, role="objectCreator")
    assert put(google, create, "fresh") == 200
    assert put(google, create, "fresh") == 403  # to write over needs delete as well
    google.roles[f"serviceAccount:{ACCOUNT}"][BUCKET] = {"roles/storage.objectViewer"}
    assert put(google, bounded(google, whole, None), "fresh") == 403


def test_scopes_bound_too(google: Google) -> None:
    """A read-only scope writes nothing, another service's reads nothing."""
    reads = google.give(f"serviceAccount:{ACCOUNT}", READ_ONLY)
    assert got(google, reads, "a") == b"A"
    assert put(google, reads, "a") == 403
    assert got(google, google.give(f"serviceAccount:{ACCOUNT}", f"{AUTH}pubsub"), "a") == 403


def test_a_bounded_token_ends_with_the_one_it_came_from(google: Google) -> None:
    """The same expiry; `expires_in` for a service account, none for a person."""
    token = google.give(f"serviceAccount:{ACCOUNT}", CLOUD, seconds=600)
    google.clock = lambda: NOW + timedelta(seconds=60)
    client = Client(google.url + STS)
    options = {
        "requested_token_type": f"{TYPE}access_token",
        "additional_options": boundary(None),
    }
    kind = f"{TYPE}access_token"
    said = client.exchange_token(transport.Request(), GRANT, token, kind, **options)
    assert said["expires_in"] == 540
    person = google.give("user:bob@acme.test", CLOUD)
    theirs = client.exchange_token(transport.Request(), GRANT, person, kind, **options)
    assert "expires_in" not in theirs
    google.clock = lambda: NOW + timedelta(seconds=600)
    assert got(google, said["access_token"], "a") == 401


def test_what_cannot_be_bounded_is_refused(google: Google) -> None:
    """A token within a boundary, one without cloud-platform, none at all, a scope beside it."""
    whole = google.give(f"serviceAccount:{ACCOUNT}", CLOUD)
    for token in (
        bounded(google, whole, None),
        google.give(f"serviceAccount:{ACCOUNT}", READ_ONLY),
        "made-up",
    ):
        with pytest.raises(OAuthError):
            bounded(google, token, None)
    with pytest.raises(OAuthError, match="Missing or unknown parameter"):
        Client(google.url + STS).exchange_token(
            transport.Request(),
            GRANT,
            whole,
            f"{TYPE}access_token",
            scopes=[READ_ONLY],
            requested_token_type=f"{TYPE}access_token",
            additional_options=boundary(None),
        )


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true",
        "resource.name",
        "resource.name=='x'",
        'resource.name == "x"',
        "resource.name == 'x",
        "resource.name == 'it's'",
        "resource.name == 'x\\n'",
        "resource.name == 'x\\'",
        "resource.name == 'x\ny'",
        "resource.name == 'x' ",
        "resource.name == 'x' || ",
        " || resource.name == 'x'",
        "resource.name == 'x' && resource.name == 'y'",
        "resource.name == 'x'||resource.name == 'y'",
        "!resource.name.startsWith('x')",
        "resource.name.endsWith('x')",
        "resource.name.matches('.*')",
        "resource.name.startsWith('x') || true",
        f"{LIST} == 'x'",
        "api.getAttribute('storage.googleapis.com/other', '').startsWith('x')",
        "resource.name == '" + "x" * 2048 + "'",
        None,
        7,
    ],
)
def test_a_condition_of_another_form_is_refused(google: Google, expression: Any) -> None:
    """Anything but the three forms, joined by `||`, is a 400 and no token."""
    options = boundary("x")
    condition = options["accessBoundary"]["accessBoundaryRules"][0]["availabilityCondition"]
    condition["expression"] = expression
    whole = google.give(f"serviceAccount:{ACCOUNT}", CLOUD)
    with pytest.raises(OAuthError, match="invalid_request"):
        Client(google.url + STS).exchange_token(
            transport.Request(),
            GRANT,
            whole,
            f"{TYPE}access_token",
            requested_token_type=f"{TYPE}access_token",
            additional_options=options,
        )
    assert list(google.given) == [whole]


def test_a_name_may_hold_what_cel_means_something_by() -> None:
    """Quotes and backslashes are escaped, and what looks like the end of a clause is text."""
    name = "it's \\ a ' || resource.name.startsWith('"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    (rule,) = rules(json.dumps(boundary(named(escaped))))
    assert rule.clauses == (("is", f"projects/_/buckets/{BUCKET}/objects/{name}"),)
    assert rule.allows("storage.objects.get", BUCKET, name, "")
    assert not rule.allows("storage.objects.get", BUCKET, "", "")


RULE: dict[str, Any] = boundary(None)["accessBoundary"]["accessBoundaryRules"][0]


CHANGED: list[dict[str, Any]] = [
    {"availableResource": "//storage.googleapis.com/projects/p/buckets/b"},
    {"availableResource": f"{RULE['availableResource']}/objects/a"},
    {"availablePermissions": []},
    {"availablePermissions": ["roles/storage.objectViewer"]},
    {"availablePermissions": ["inRole:roles/owner"]},
    {"availablePermissions": "inRole:roles/storage.objectViewer"},
    {"availabilityCondition": "true"},
    {"title": "x"},
]


@pytest.mark.parametrize(
    "options",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"accessBoundaryRules": [RULE]}),
        json.dumps({"userProject": "x", **boundary(None)}),
        json.dumps(boundary()),
        json.dumps(boundary(*[None] * 11)),
        json.dumps({"accessBoundary": {"accessBoundaryRules": RULE}}),
        *(
            json.dumps({"accessBoundary": {"accessBoundaryRules": [RULE | changed]}})
            for changed in CHANGED
        ),
    ],
)
def test_a_boundary_must_be_written_exactly(options: str) -> None:
    """1 to 10 rules, each of a bucket, with roles that there are, and nothing else."""
    with pytest.raises(BoundaryError):
        rules(options)


def test_a_boundary_is_read_as_it_is_or_percent_encoded() -> None:
    """google-auth encodes the JSON once more than the form does; a form alone is right too."""
    text = json.dumps(boundary(named("100%25"), *[None] * 9))
    assert rules(quote(text)) == rules(text)
    assert rules(text)[0].clauses[0][1].endswith("/100%25")
    assert rules(text)[0].permissions == frozenset(ROLES["roles/storage.objectUser"])


# --- other paths and misbehaviour -----------------------------------------------------------------


def test_there_is_nothing_else(google: Google) -> None:
    """Other paths and methods are 404 with a token, and nothing is there without one."""
    token = google.give(f"serviceAccount:{ACCOUNT}", CLOUD)
    for method, path in (
        ("GET", "/storage/v1/b"),
        ("GET", f"/storage/v1/b/{BUCKET}/acl"),
        ("GET", f"/storage/v1/b/{BUCKET}/o/a/b"),
        ("PUT", f"/storage/v1/b/{BUCKET}/o/a"),
        ("GET", STS),
    ):
        assert asked(google, token, method, path)[0] in {404, 501}
    google.roles[f"serviceAccount:{ACCOUNT}"]["gone"] = {"roles/storage.objectUser"}
    assert asked(google, token, "GET", "/storage/v1/b/gone/o")[0] == 404
    upload = "/upload/storage/v1/b/gone/o?uploadType=media"
    assert asked(google, token, "POST", f"{upload}&name=x", b"")[0] == 404
    assert asked(google, token, "POST", upload, b"")[0] == 400
    assert transport.Request()(f"{google.url}/storage/v1/b/{BUCKET}/o/a").status == 401


def test_it_misbehaves_as_it_is_told(google: Google) -> None:
    """Any path can be answered by other bytes, and members of answers changed."""
    google.exchanged = {"expires_in": "60"}
    google.impersonated = {"expireTime": "2020-01-01T00:00:00Z"}
    google.bounded = {"access_token": None}
    expired = external(google, proof())
    token = refreshed(expired)
    assert expired.expiry == datetime(2020, 1, 1)  # noqa: DTZ001 - as google-auth keeps it
    with pytest.raises(KeyError):
        bounded(google, token, None)
    google.instead[STS] = answer(b"[]", 429, {"Retry-After": "9"})
    said = transport.Request()(google.url + STS, "POST", b"")
    assert (said.status, said.headers["retry-after"]) == (429, "9")
    google.instead[STS] = lambda: [0.001, *html()]
    assert transport.Request()(google.url + STS, "POST", b"").data.startswith(b"<html>")
    assert google.paths("POST")[-1] == STS
