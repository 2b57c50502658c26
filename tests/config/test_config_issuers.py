"""Issuers of config.toml: what presets fill in, and what does not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.inbound.presets import PRESETS, PUBLIC
from support.configs import FOLDER, loaded, refused

if TYPE_CHECKING:
    from agentauth_cli.inbound.issuer import Issuer

ID = "0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f"
PERSONAL = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
REQUIRED = {
    "github-actions": {"repository_owner_id": "123456"},
    "gitlab": {"namespace_id": "72"},
    "google": {"hd": "acme.dev"},
    "buildkite": {"organization_slug": "acme"},
    "circleci": {"oidc.circleci.com/org-id": ID},
}
OWN = {
    "okta": "https://acme.okta.com/oauth2/default",
    "entra": f"https://login.microsoftonline.com/{ID}/v2.0",
    "auth0": "https://acme.eu.auth0.com/",
    "keycloak": "https://sso.acme.dev/realms/acme",
    "aws-outbound": f"https://{ID}.tokens.sts.global.api.aws",
    "kubernetes": "https://oidc.eks.eu-west-1.amazonaws.com/id/0A1B2C3D",
    "circleci": f"https://oidc.circleci.com/org/{ID}",
}


def found(**entry: Any) -> Issuer:
    """Return the issuer of an entry, which has to load."""
    (only,) = loaded(inbound__issuers__x={"audience": "agentauth", **entry}).inbound.issuers
    return only


def wrong(**entry: Any) -> list[str]:
    """Return what is wrong with an entry: ``key: message``."""
    prefix = "inbound.issuers.x"
    said = refused(inbound__issuers__x={"audience": "agentauth", **entry})
    assert all(one.startswith(prefix) for one in said)
    return [one.removeprefix(prefix).removeprefix(".") for one in said]


def preset(name: str, **over: Any) -> dict[str, Any]:
    """Return an entry of this preset that loads, with these keys over it."""
    entry: dict[str, Any] = {"preset": name}
    if name in OWN:
        entry["issuer"] = OWN[name]
    if name in REQUIRED:
        entry["require"] = REQUIRED[name]
    return entry | over


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_loads(name: str) -> None:
    """A preset fills in issuer, algorithms, subject, name and kind, and works as if written out."""
    short, table = found(**preset(name)), PRESETS[name]
    written: dict[str, Any] = {
        "issuer": OWN.get(name, table.example),
        "algorithms": list(table.algorithms),
        "kind": table.kind,
        "subject_claim": table.subject_claim,
    }
    if table.name_claim:
        written["name_claim"] = table.name_claim
    if name in REQUIRED:
        written["require"] = REQUIRED[name]
    assert short == found(**written)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("github-actions", ("service", "sub", "repository_id", ("RS256",))),
        ("gitlab", ("service", "sub", "project_id", ("RS256",))),
        ("google", ("user", "sub", None, ("RS256",))),
        ("okta", ("user", "sub", None, ("RS256",))),
        ("entra", ("user", "oid", None, ("RS256",))),
        ("auth0", ("user", "sub", None, ("RS256",))),
        ("keycloak", ("user", "sub", "preferred_username", ("RS256", "ES256", "EdDSA"))),
        ("aws-outbound", ("service", "sub", None, ("RS256", "ES384"))),
        ("kubernetes", ("service", "sub", None, ("RS256", "ES256", "ES384", "ES512"))),
        ("buildkite", ("service", "sub", "pipeline_slug", ("RS256",))),
        ("circleci", ("service", "sub", "oidc.circleci.com/project-id", ("RS256",))),
    ],
)
def test_what_each_preset_says(name: str, expected: tuple[object, ...]) -> None:
    """Kind, subject, name and algorithms are those that the provider documents."""
    made = found(**preset(name))
    assert (made.kind, made.subject_claim, made.name_claim, made.algorithms) == expected


def test_a_key_of_the_file_goes_before_its_preset() -> None:
    """What the file says of an issuer holds; the preset fills in the rest."""
    over = {"kind": "agent", "name_claim": "actor", "algorithms": ["ES256"], "session": "1h"}
    made = found(**preset("github-actions", **over), subject_claim="repository_id")
    assert (made.kind, made.name_claim, made.algorithms) == ("agent", "actor", ("ES256",))
    assert (made.subject_claim, made.session) == ("repository_id", 3600)
    assert found(**preset("keycloak", name_claim="sub")).name_claim == "sub"


def test_defaults_without_a_preset() -> None:
    """Default RS256, ES256, EdDSA; kind user; the subject is `sub`; a login lasts 8 h."""
    made = found(issuer="https://acme.example", jwks_file="keys.json")
    assert made.algorithms == ("RS256", "ES256", "EdDSA")
    assert (made.kind, made.subject_claim, made.name_claim) == ("user", "sub", None)
    assert (made.session, made.jwks_file) == (8 * 3600, FOLDER / "keys.json")


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        ("github-actions", "https://token.actions.acme.ghe.com"),
        ("github-actions", "https://github.acme.dev/_services/token"),
        ("gitlab", "https://gitlab.acme.dev"),
        ("gitlab", "https://acme.dev/gitlab"),
        ("okta", "https://acme.okta.com"),
        ("okta", "https://login.acme.dev/oauth2/aus1ab2cd3"),
        ("entra", f"https://sts.windows.net/{ID}/"),
        ("entra", f"https://login.microsoftonline.us/{ID}/v2.0"),
        ("auth0", "https://login.acme.dev/"),
        ("keycloak", "https://acme.dev/auth/realms/main"),
        ("kubernetes", "https://kubernetes.default.svc.cluster.local"),
        ("kubernetes", "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c"),
    ],
)
def test_issuers_of_ones_own(name: str, issuer: str) -> None:
    """A preset takes each form of `iss` that its provider has; one's own needs no `require`."""
    assert found(preset=name, issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        ("github-actions", "https://github.com/acme"),
        ("github-actions", "https://token.actions.githubusercontent.com/"),
        ("github-actions", "https://token.actions.githubusercontent.com.evil.example"),
        ("gitlab", "https://gitlab.com/"),
        ("google", "https://accounts.google.com/"),
        ("google", "https://evil.example"),
        ("okta", "https://acme.okta.com/"),
        ("okta", "https://acme.okta.com/oauth2/default/v1"),
        ("entra", "https://login.microsoftonline.com/common/v2.0"),
        ("entra", "https://login.microsoftonline.com/organizations/v2.0"),
        ("entra", "https://login.microsoftonline.com/acme.dev/v2.0"),
        ("entra", f"https://login.microsoftonline.com/{ID}"),
        ("entra", f"https://sts.windows.net/{ID}"),
        ("auth0", "https://acme.eu.auth0.com"),
        ("keycloak", "https://sso.acme.dev"),
        ("keycloak", "https://sso.acme.dev/realms/acme/"),
        ("aws-outbound", "https://sts.amazonaws.com"),
        ("buildkite", "https://buildkite.com"),
        ("circleci", "https://oidc.circleci.com"),
        ("circleci", "https://oidc.circleci.com/org/acme"),
    ],
)
def test_an_issuer_that_no_token_of_the_preset_has_is_refused(name: str, issuer: str) -> None:
    """What no token can carry as its `iss` is said when the file loads, with the form it has."""
    require = REQUIRED.get(name, {"tid": ID})
    assert wrong(preset=name, issuer=issuer, require=require) == [
        f"issuer: not one of preset {name!r}: expected {PRESETS[name].example}"
    ]


@pytest.mark.parametrize("name", [one for one in PRESETS if not PRESETS[one].fixed])
def test_a_preset_without_an_issuer_of_its_own_needs_one(name: str) -> None:
    """Where each customer has an issuer of its own the file has to say which."""
    (said,) = wrong(preset=name, require={"x": "1"})
    needs = f": missing key 'issuer': preset {name!r} has one for each customer, such as "
    assert said == needs + PRESETS[name].example


def test_an_issuer_says_which_it_is() -> None:
    """An issuer has `issuer` or `preset`, and an audience."""
    assert wrong() == [": missing key 'issuer' (or 'preset')"]
    assert refused(inbound__issuers__x={"issuer": "https://acme.example"}) == [
        "inbound.issuers.x: missing key 'audience'"
    ]
    (said,) = wrong(issuer="https://acme.example", ambient=True)
    assert said.startswith("ambient: needs a `preset`")


@pytest.mark.parametrize(
    ("entry", "best"),
    [
        ({"preset": "github-actions"}, "repository_owner_id"),
        ({"preset": "gitlab"}, "namespace_id"),
        ({"preset": "google"}, "hd"),
        ({"preset": "buildkite"}, "organization_slug"),
        ({"preset": "circleci", "issuer": OWN["circleci"]}, '"oidc.circleci.com/org-id"'),
        ({"issuer": "https://token.actions.githubusercontent.com"}, "repository_owner_id"),
        ({"issuer": "https://token.actions.githubusercontent.com/acme"}, "repository_owner_id"),
        ({"issuer": "https://gitlab.com"}, "namespace_id"),
        ({"issuer": "https://accounts.google.com/"}, "hd"),
        ({"issuer": "https://agent.buildkite.com"}, "organization_slug"),
        ({"issuer": OWN["circleci"]}, '"oidc.circleci.com/org-id"'),
        ({"issuer": "https://login.microsoftonline.com/common/v2.0"}, "tid"),
        ({"issuer": "https://login.microsoftonline.com/organizations/v2.0"}, "tid"),
        ({"issuer": "https://login.microsoftonline.com/consumers/v2.0"}, "tid"),
        ({"issuer": PERSONAL}, "oid"),
        ({"issuer": PERSONAL, "preset": "entra"}, "oid"),
    ],
)
def test_an_issuer_that_anybody_can_have_a_token_of_needs_require(
    entry: dict[str, str], best: str
) -> None:
    """Issuers whose tokens anybody on earth can have need `require`: without it a load error."""
    needs = f': anybody can have a token of this issuer: add `require = {{ {best} = "…" }}`'
    assert wrong(**entry) == [needs]
    assert wrong(**entry, require={})
    assert wrong(**entry, require={best.strip('"'): ""})
    assert found(**entry, require={best.strip('"'): "1"}).require


@pytest.mark.parametrize(
    "require",
    [{"ref": "refs/heads/main"}, {"environment": "prod"}, {"iss": "https://gitlab.com"}],
)
def test_what_anybody_can_have_too_is_no_requirement(require: dict[str, str]) -> None:
    """One claim of `require` has to say whose: a branch of that name is in every repository."""
    claims = ", ".join(PUBLIC["https://gitlab.com/"])
    assert wrong(preset="gitlab", require=require) == [
        "require: anybody can have a token of this issuer: one of these has to say whose: " + claims
    ]
    assert found(preset="gitlab", require=require | {"project_id": "7"}).require == {
        **require,
        "project_id": "7",
    }


@pytest.mark.parametrize("name", ["github-actions", "buildkite"])
def test_a_subject_of_free_form_is_no_requirement(name: str) -> None:
    """A job can have its subject made of what anybody's job can have too."""
    (said,) = wrong(preset=name, require={"sub": "environment:prod"})
    assert said.startswith("require: anybody can have a token of this issuer: one of these")


@pytest.mark.parametrize("issuer", ["https://gitlab.company.com", "https://gitlab.com.acme.dev"])
def test_an_issuer_of_ones_own_needs_none(issuer: str) -> None:
    """A host whose name only begins like a public one's is not public."""
    assert not found(issuer=issuer).require


@pytest.mark.parametrize("claim", ["email", "preferred_username", "upn", "unique_name", "name"])
@pytest.mark.parametrize(
    "entry",
    [
        {"preset": "entra", "issuer": OWN["entra"]},
        {"issuer": "https://login.microsoftonline.com/1/v2.0"},
        {"issuer": "https://sts.windows.net/1/"},
    ],
)
def test_a_name_of_entra_is_no_subject(entry: dict[str, str], claim: str) -> None:
    """`subject_claim = "email"` is refused for entra (mutable there), and so are its like."""
    (said,) = wrong(**entry, subject_claim=claim)
    assert said == f"subject_claim: {claim} can be changed by its owner there: use oid or sub"
    assert found(issuer="https://acme.example", subject_claim=claim).subject_claim == claim


def test_the_name_claims_of_presets_are_known() -> None:
    """`[[test]]` and `check` follow the preset's `name_claim`."""
    both = loaded(
        inbound__issuers__github={**preset("github-actions"), "audience": "a"},
        inbound__issuers__sso={**preset("keycloak"), "audience": "a"},
        inbound__issuers__okta={**preset("okta"), "audience": "a"},
    )
    assert both.name_claims == {"github": "repository_id", "sso": "preferred_username"}


def test_the_scopes_of_a_login() -> None:
    """What a login asks an issuer for: one scope a string, `openid` among them."""
    issuer = {"issuer": "https://id.acme.dev", "audience": "agentauth"}
    assert found(**issuer).scopes is None
    named = found(**issuer, scopes=["openid", "https://acme.dev/groups"])
    assert named.scopes == ("openid", "https://acme.dev/groups")
    (wrong,) = refused(inbound__issuers={"acme": {**issuer, "scopes": ["email"]}})
    assert wrong == ("inbound.issuers.acme.scopes: without `openid` a login brings no ID token")
    (wrong,) = refused(inbound__issuers={"acme": {**issuer, "scopes": ["openid email"]}})
    assert "expected a scope such as openid" in wrong
