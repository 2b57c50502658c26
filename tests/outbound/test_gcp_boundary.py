"""The Credential Access Boundary of a request, and the service account that it is for."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from google.auth import downscoped
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import ConfigError, UsageError
from agentauth_cli.model import Grant, Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.gcp_account import (
    checked_template,
    duration,
    reason,
    service_account,
    tool_id,
)
from agentauth_cli.outbound.gcp_boundary import as_json, boundary

VIEWER = "inRole:roles/storage.objectViewer"
CREATOR = "inRole:roles/storage.objectCreator"
BUCKET = "//storage.googleapis.com/projects/_/buckets/acme-data"
OBJECTS = "projects/_/buckets/acme-data/objects/"
LISTED = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"


def grant(resource: str, *permissions: str) -> Grant:
    """Return a grant of these permissions, by default to view."""
    return Grant((), permissions or (VIEWER,), resource)


def condition(resource: str) -> str:
    """Return the expression of the one rule for this resource."""
    (rule,) = boundary([grant(resource)])["accessBoundary"]["accessBoundaryRules"]
    expression: str = rule["availabilityCondition"]["expression"]
    return expression


def request(**fields: object) -> ToolRequest:
    """Return a request of a tool."""
    usual: dict[str, object] = {"tool_name": "gcs_read", "provider": ProviderType.GCP}
    return ToolRequest(**(usual | fields))  # type: ignore[arg-type]


# --- the boundary ---------------------------------------------------------------------------------


def test_a_scope_is_a_prefix_and_its_listing() -> None:
    """For a scope `resource.name.startsWith`, and for listing the prefix that is listed."""
    assert boundary([grant("gs://acme-data/public/*")]) == {
        "accessBoundary": {
            "accessBoundaryRules": [
                {
                    "availablePermissions": [VIEWER],
                    "availableResource": BUCKET,
                    "availabilityCondition": {
                        "expression": f"resource.name.startsWith('{OBJECTS}public/') || "
                        f"{LISTED}.startsWith('public/')"
                    },
                }
            ]
        }
    }


def test_an_exact_name_has_no_listing() -> None:
    """For an exact name `resource.name ==`, and no list clause: it would open `a2` with `a`."""
    assert condition("gs://acme-data/a") == f"resource.name == '{OBJECTS}a'"


def test_a_whole_bucket_has_no_condition() -> None:
    """With an empty prefix every condition would be true, so none is written."""
    (rule,) = boundary([grant("gs://acme-data/*")])["accessBoundary"]["accessBoundaryRules"]
    assert rule == {"availablePermissions": [VIEWER], "availableResource": BUCKET}


@pytest.mark.parametrize(
    ("name", "literal"),
    [
        ("it's", r"it\'s"),
        (r"a\b", r"a\\b"),
        (r"a\'b", r"a\\\'b"),
        ("' || true || '", r"\' || true || \'"),
        ("a*b", "a*b"),
        ("ü", "ü"),
        ('say "x"', 'say "x"'),
    ],
)
def test_quotes_and_backslashes_are_escaped(name: str, literal: str) -> None:
    """A name stays within its string, whatever it holds."""
    assert condition(f"gs://acme-data/{name}") == f"resource.name == '{OBJECTS}{literal}'"
    assert condition(f"gs://acme-data/{name}/*").startswith(
        f"resource.name.startsWith('{OBJECTS}{literal}/')"
    )


@given(st.text(min_size=1, max_size=80))
def test_no_name_gets_out_of_its_string(name: str) -> None:
    """An expression is three or five tokens, each string closed where it was opened, or refused."""
    try:
        expression = condition(f"gs://acme-data/{name}")
    except (ConfigError, KeyError):
        return  # no such name, or the whole bucket
    outside = re.sub(r"'(?:[^'\\]|\\['\\])*'", "S", expression)
    assert outside in {
        "resource.name == S",
        "resource.name.startsWith(S) || api.getAttribute(S, S).startsWith(S)",
    }


@pytest.mark.parametrize(
    "resource",
    [
        "gs://acme-data",
        "gs://acme-data/",
        "gs://acme-*",
        "gs://*",
        "gs:///a",
        "gs://Acme/a",
        "gs://a'b/c",
        "gs://acme-data/a\nb",
        "gs://acme-data/a\0b",
        "gs://acme-data/a\u2028b",
        "gs://acme-data/\ud800",
        "gs://acme-data/" + "a" * 1025,
        "gs://acme-data/" + "ü" * 513,
        "s3://acme-data/a",
        "",
    ],
)
def test_what_is_no_object_and_no_prefix_is_refused(resource: str) -> None:
    """A bucket by itself, many buckets, control characters and other services are an error."""
    with pytest.raises(ConfigError):
        boundary([grant(resource)])


@pytest.mark.parametrize(
    "permission",
    ["", "roles/storage.objectViewer", "inRole:*", "inRole:roles/", "storage.objects.get"],
)
def test_a_permission_is_a_role(permission: str) -> None:
    """What is available is a role's permissions; nothing else can be said to Google."""
    with pytest.raises(ConfigError):
        boundary([grant("gs://acme-data/a", permission)])


def test_roles_of_ones_own_are_roles() -> None:
    """A custom role stands in a project or an organisation."""
    for role in ("inRole:projects/acme-dev/roles/reads", "inRole:organizations/1/roles/reads"):
        assert role in as_json(boundary([grant("gs://acme-data/a", role)]))


def test_a_tool_without_permissions_is_refused() -> None:
    """Nothing that is allowed is nothing to ask for."""
    with pytest.raises(ConfigError, match="no roles"):
        boundary([Grant((), (), "gs://acme-data/a")])
    with pytest.raises(ConfigError, match="0 rules"):
        boundary([])


def test_each_grant_is_a_rule_and_equal_ones_are_one() -> None:
    """Several grants become several rules, in their order."""
    made = boundary(
        [
            grant("gs://acme-data/a"),
            grant("gs://acme-other/b/*", CREATOR, VIEWER),
            grant("gs://acme-data/a"),
        ]
    )["accessBoundary"]["accessBoundaryRules"]
    assert [rule["availableResource"][-5:] for rule in made] == ["-data", "other"]
    assert made[1]["availablePermissions"] == [CREATOR, VIEWER]


def test_at_most_ten_rules() -> None:
    """Ten rules are taken, eleven are an error before any call."""
    made = [grant(f"gs://acme-data/{number}") for number in range(11)]
    boundary(made[:10])
    with pytest.raises(ConfigError, match="11 rules"):
        boundary(made)


@pytest.mark.parametrize("resource", ["gs://acme-data/a/*", "gs://acme-data/a", "gs://acme-data/*"])
def test_google_auth_writes_the_same(resource: str) -> None:
    """The shape is that of google-auth's own types, which check it."""
    made = boundary([grant(resource, VIEWER, CREATOR)])
    rules = made["accessBoundary"]["accessBoundaryRules"]
    typed_as = cast("Any", downscoped)  # untyped
    typed = [
        typed_as.AccessBoundaryRule(
            available_resource=rule["availableResource"],
            available_permissions=rule["availablePermissions"],
            availability_condition=typed_as.AvailabilityCondition(
                rule["availabilityCondition"]["expression"]
            )
            if "availabilityCondition" in rule
            else None,
        )
        for rule in rules
    ]
    assert typed_as.CredentialAccessBoundary(rules=typed).to_json() == made


# --- the service account --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("gcs_read", "gcs-read"),
        ("gcs-read", "gcs-read"),
        ("a" * 30, "a" * 30),
        ("sixsix", "sixsix"),
    ],
)
def test_a_tools_id_is_its_name(name: str, made: str) -> None:
    """`tool_id` is the tool's name with - for _."""
    assert tool_id(name) == made


@pytest.mark.parametrize("name", ["ab", "a" * 31, "Read", "a.b.c.d.e", "1st_tool", "_" * 8, "end_"])
def test_a_name_that_is_no_id_gets_a_hash(name: str) -> None:
    """What is too short, too long or no id otherwise is padded or cut with a hash."""
    assert re.fullmatch(r"[a-z][a-z0-9-]*-[0-9a-f]{8}", tool_id(name))


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_every_tool_has_an_id_that_google_takes(name: str) -> None:
    """6 to 30 characters, a letter first, no hyphen last."""
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", tool_id(name))


@given(st.from_regex(r"[A-Za-z0-9.]{1,64}", fullmatch=True), st.text("aB.9", max_size=40))
def test_two_tools_have_two_ids(one: str, other: str) -> None:
    """Names that differ in more than - for _ never share an account."""
    assert (tool_id(one) == tool_id(other)) == (one == other)


def test_an_account_is_the_tools_own_or_the_templates() -> None:
    """`service_account` takes the place of the template."""
    template = "{tool_id}@{project}.iam.gserviceaccount.com"
    assert service_account(request(), template, "acme-dev") == (
        "gcs-read@acme-dev.iam.gserviceaccount.com"
    )
    own = "1234-compute@developer.gserviceaccount.com"
    assert service_account(request(service_account=own), template, "acme-dev") == own


@pytest.mark.parametrize(
    ("template", "project", "own"),
    [
        (None, "acme-dev", None),
        ("{tool_id}@{project}.iam.gserviceaccount.com", "acme/dev", None),
        ("{tool_id}@{project}.iam.gserviceaccount.com", "a?b", None),
        ("{tool_id}@{project}.example.com", "acme-dev", None),
        (None, "acme-dev", "alice@example.com"),
        (None, "acme-dev", "a@b.iam.gserviceaccount.com/../x"),
        (None, "acme-dev", "a@b.iam.gserviceaccount.com\n"),
        (None, "acme-dev", ""),
    ],
)
def test_what_is_no_service_account_is_refused(
    template: str | None, project: str, own: str | None
) -> None:
    """An address that Google does not give to a service account is an error before any call."""
    with pytest.raises(ConfigError):
        service_account(request(service_account=own), template, project)


@pytest.mark.parametrize("template", ["{tool_name}@x", "{", "{tool_id!r}@x", "{}@x"])
def test_a_template_has_two_placeholders(template: str) -> None:
    """Only {tool_id} and {project} are known."""
    with pytest.raises(ConfigError):
        checked_template(template)
    assert checked_template(None) is None


def test_a_token_lives_an_hour_at_most() -> None:
    """1 to 3,600 s."""
    for seconds in (1, 3600):
        assert duration(request(max_duration=seconds)) == seconds
    for seconds in (0, 3601):
        with pytest.raises(UsageError):
            duration(request(max_duration=seconds))


def test_the_reason_says_who_and_which_lease() -> None:
    """Principal, tool, lease and who acts, each whole, in the characters of a header."""
    principal = Principal("okta/zoë smith@acme.dev", "zoë", actor="okta/bot")
    assert reason(principal, request(lease="L1")) == (
        "agentauth principal=okta/zo%C3%AB%20smith@acme.dev actor=okta/bot tool=gcs_read lease=L1"
    )
    assert reason(Principal("os/a", "a"), request()) == "agentauth principal=os/a tool=gcs_read"


def test_a_long_reason_ends_with_a_hash() -> None:
    """A header has its bounds, and two principals stay two."""
    one, other = (
        reason(Principal(f"okta/{'ü' * 300}{end}", "x"), request()).split()[1] for end in "ab"
    )
    assert one != other
    assert re.fullmatch(r"principal=okta/[C3%B]+-[0-9a-f]{8}", one)
    assert len(one) == len("principal=") + 256
