"""Every sentence of "Answering", "Matching" and "Obligations"."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Decision, Obligation, Principal, Question, Rate
from agentauth_cli.policy.decide import decide, evaluate, permitted
from agentauth_cli.terms import AUTHS
from support.policy_worlds import (
    ALICE,
    CLAIMS,
    OBLIGATIONS,
    QUESTION,
    QUESTIONS,
    Asked,
    Rule,
    ask,
    policy_of,
    property_of,
    rule,
    rule_sets,
    rules,
)

if TYPE_CHECKING:
    from agentauth_cli.policy.packed import Policy

ALLOW, DENY = Decision.ALLOW, Decision.DENY


# Answering


def test_a_request_that_is_not_well_formed_is_denied() -> None:
    """A request that is not well formed (below) is denied, reason `malformed request`."""
    for policy in (None, policy_of([rule()])):
        answer = evaluate(policy, ask(resource="a/../b"))
        assert answer.decision is DENY
        assert answer.reason == "malformed request: resource holds . or .. as a segment"
        assert (answer.rule, answer.rules, answer.nearest) == ("", (), None)


def test_no_policy_file_at_all_denies() -> None:
    """No policy file at all, denied, reason `no policy`."""
    answer = evaluate(None, QUESTION)
    assert (answer.decision, answer.reason, answer.policy) == (DENY, "no policy", "")


def test_a_matching_deny_rule_denies() -> None:
    """If any deny rule matches, the answer is deny, reason `denied by rule`."""
    files = [rule("z", "deny"), rule("b", "deny"), rule("a", "deny", tools=["x"]), rule("0")]
    answer = evaluate(policy_of(files), QUESTION)
    assert (answer.decision, answer.reason) == (DENY, "denied by rule")
    assert (answer.rule, answer.rules) == ("b", ("b", "z"))
    assert answer.obligations == {}


def test_a_matching_allow_rule_allows() -> None:
    """Else, if any allow rule matches, the answer is allow, reason `allowed by rule`."""
    policy = policy_of([rule("b"), rule("a.b"), rule("a-b"), rule("a", tools=["x"])])
    answer = evaluate(policy, QUESTION)
    assert (answer.decision, answer.reason) == (ALLOW, "allowed by rule")
    assert (answer.rule, answer.rules) == ("a-b", ("a-b", "a.b", "b"))


def test_without_a_rule_everything_is_denied() -> None:
    """Else deny, reason `no rule allows this`; without allow rules there is no nearest miss."""
    for files in ([], [rule("a", "deny", tools=["x"])]):
        answer = evaluate(policy_of(files), QUESTION)
        assert (answer.decision, answer.reason) == (DENY, "no rule allows this")
        assert answer.nearest is None


@pytest.mark.parametrize(
    ("files", "nearest", "parts"),
    [
        ([rule("b", tools=["x"]), rule("a", actions=["x.y.z"])], "a", ("actions",)),
        ([rule("a", tools=["x"], actions=["x.y.z"]), rule("b", tools=["x"])], "b", ("tools",)),
        (
            [
                rule("b", tools=["x"], actions=["x.y.z"], environments=["x"]),
                rule("c", environments=["x"], resources=["x"]),
                rule("d", tools=["x"], resources=["x"]),
            ],
            "c",
            ("resources", "environments"),
        ),
        (
            [
                {
                    **rule("a", environments=["x"], resources=["x"], actions=["x.y.z"]),
                    "tools": ["x"],
                    "principals": ["x/y"],
                }
            ],
            "a",
            ("principals", "tools", "actions", "resources", "environments"),
        ),
        (
            [
                {
                    **rule("a", environments=["x"], resources=["x"], actions=["x.y.z"]),
                    "tools": ["x"],
                    "principals": ["x/y"],
                    "when": {"auth": ["os"]},
                    "unless": {"auth": ["jwt", "api_key"]},
                }
            ],
            "a",
            ("principals", "tools", "actions", "resources", "environments", "when", "unless"),
        ),
    ],
)
def test_the_nearest_miss(files: list[Rule], nearest: str, parts: tuple[str, ...]) -> None:
    """The rule that failed on the fewest parts (then the smallest id), and its failed parts."""
    answer = evaluate(policy_of(files), QUESTION)
    assert answer.nearest is not None
    assert (answer.nearest.rule, answer.nearest.parts) == (nearest, parts)


def test_the_hint_says_what_would_have_to_be_otherwise() -> None:
    """The nearest miss names the rule, what it wants, and what was asked."""
    files = [{**rule("a", tools=["x", "y*"]), "principals": ["okta/bob", "kind:agent"]}]
    nearest = evaluate(policy_of(files), QUESTION).nearest
    assert nearest is not None
    assert nearest.hint == (
        "`a` would allow this if the principal were okta/bob or kind:agent and the tool were "
        "x or y*; it is okta/alice of kind user, s3_upload"
    )


def test_every_answer_carries_the_digest() -> None:
    """Every decision and audit record carries it."""
    policy = policy_of([rule("a", tools=["s3_upload"]), rule("b", "deny", tools=["denied"])])
    for question in (QUESTION, ask(tool="denied"), ask(tool="other"), ask(tool="")):
        assert evaluate(policy, question).policy == policy.digest
    assert decide(policy, []).policy == policy.digest


# Matching


@pytest.mark.parametrize(
    ("part", "patterns", "asked"),
    [
        ("tools", ["s3_*"], {"tool": "s3_upload"}),
        ("tools", ["-"], {"tool": "-"}),
        ("actions", ["gcp.*", "aws.*.put"], {"action": "aws.s3.put"}),
        ("environments", ["dev"], {"environment": "dev"}),
        ("resources", ["x", "bucket/*"], {"resource": "bucket/a/b:c.d"}),
        ("principals", ["x/y", "kind:user"], {}),
    ],
)
def test_one_pattern_of_a_part_is_enough(part: str, patterns: list[str], asked: Asked) -> None:
    """A rule matches when each part it gives matches; one match of a part is enough."""
    policy = policy_of([{**rule(), part: patterns}])
    assert evaluate(policy, ask(**asked)).decision is ALLOW


@pytest.mark.parametrize(
    ("part", "patterns", "asked"),
    [
        ("tools", ["s3_*"], {"tool": "-"}),
        ("tools", ["S3_*"], {"tool": "s3_upload"}),
        ("actions", ["aws.s3.put"], {"action": "aws.s3.puts"}),
        ("environments", ["dev"], {"environment": "Dev"}),
        ("resources", ["bucket/"], {"resource": "bucket/a"}),
        ("principals", ["okta/alic"], {}),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_part_that_fails(part: str, patterns: list[str], asked: Asked, effect: str) -> None:
    """Patterns on the whole name."""
    policy = policy_of([{**rule(effect=effect), part: patterns}])
    answer = evaluate(policy, ask(**asked))
    assert answer.reason == "no rule allows this"


@pytest.mark.parametrize(
    ("pattern", "scope", "allowed", "denied"),
    [
        ("a/*", "a/*", True, True),
        ("a/*", "a/b*", True, True),
        ("a/*", "a*", False, True),
        ("a/*", "*", False, True),
        ("*", "*", True, True),
        ("a/b", "a/*", False, True),
        ("a/b", "a/b*", False, True),
        ("a/b", "a/b/*", False, False),
        ("a/*.txt", "a/*", False, True),
        ("b/*", "a/*", False, False),
    ],
)
def test_scopes(pattern: str, scope: str, allowed: bool, denied: bool) -> None:
    """Permission needs a rule that covers it."""
    question = ask(resource=scope)
    allow = evaluate(policy_of([rule(resources=[pattern])]), question)
    deny = evaluate(policy_of([rule("d", "deny", resources=[pattern]), rule()]), question)
    assert (allow.decision is ALLOW) is allowed
    assert (deny.decision is DENY) is denied


def test_a_scope_is_covered_by_one_same_pattern() -> None:
    """An allow rule covers a scope if every such string matches one same pattern of the rule."""
    answer = evaluate(policy_of([rule(resources=["a/b*", "a/c*"])]), ask(resource="a/*"))
    assert answer.nearest is not None
    assert answer.nearest.parts == ("resources",)


def test_obligations_of_every_rule_that_touches_a_scope_hold() -> None:
    """The obligations on a scope are those of every allow rule that touches it."""
    files = [
        rule("all", resources=["a/*"], obligations={"max_duration": "1h"}),
        rule("part", resources=["a/secret/*"], obligations={"max_duration": "15m"}),
        rule("name", resources=["a/key"], obligations={"require_reason": True}),
        rule("elsewhere", resources=["b/*"], obligations={"max_tokens": 0}),
        rule("other", resources=["a/x"], tools=["x"], obligations={"max_cost": "0"}),
    ]
    answer = evaluate(policy_of(files), ask(resource="a/*"))
    assert (answer.decision, answer.rules) == (ALLOW, ("all",))
    assert answer.obligations == {
        "max_duration": (Obligation(900, "part"),),
        "require_reason": (Obligation(True, "name"),),
    }
    exact = evaluate(policy_of(files), ask(resource="a/b"))
    assert exact.obligations == {"max_duration": (Obligation(3600, "all"),)}


# Variables

CLAIMING = replace(ALICE, claims={"team": "web", "a.b": "c", "n": 7, "list": ["web"], "no": None})


@pytest.mark.parametrize(
    ("pattern", "resource"),
    [
        ("p/${principal.name}/*", "p/alice/x"),
        ("${principal.issuer}/x", "okta/x"),
        ("${principal.hash}", hashlib.sha256(b"okta/alice").hexdigest()[:16]),
        ("${principal.claims.team}", "web"),
        ("${principal.claims.a.b}", "c"),
        ("${environment}-${tool}", "dev-s3_upload"),
    ],
)
def test_variables(pattern: str, resource: str) -> None:
    """The name, issuer, hash and claims of the principal, the environment and the tool."""
    policy = policy_of([rule(resources=[pattern])])
    assert evaluate(policy, ask(principal=CLAIMING, resource=resource)).decision is ALLOW
    other = ask(principal=CLAIMING, resource=resource + "x")
    assert evaluate(policy, other).decision is (ALLOW if pattern.endswith("*") else DENY)


NO_VALUES = [
    *("", "a" * 129, "a..b", "..", "a/b", "a:b", "a b", "a*", "a?", "a\\", "${tool}", "é", "a\n"),
    *("a\x00", "\ud800", "e\u0301", "a%2f", "a$", "a#b", "~"),
]
VALUES = ["a", "a" * 128, "a.b", ".", "A-Z_0.9@x+=,"]


@pytest.mark.parametrize("name", NO_VALUES)
def test_a_value_that_may_not_stand_fails(name: str) -> None:
    """It must be 1 to 128 characters of `A-Z a-z 0-9 . _ @ + = , -`, without `..`."""
    principal = replace(ALICE, name=name, claims={"c": name})
    for variable in ("principal.name", "principal.claims.c"):
        question = ask(principal=principal, resource=f"x/{'y' if '/' in name else 'z'}")
        allow = evaluate(policy_of([rule(resources=[f"${{{variable}}}", "x/*"])]), question)
        assert allow.nearest is not None
        assert allow.nearest.parts == ("resources",)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_may_stand(name: str) -> None:
    """The value goes in as literal text."""
    principal = replace(ALICE, name=name)
    policy = policy_of([rule(resources=["x${principal.name}"])])
    assert evaluate(policy, ask(principal=principal, resource=f"x{name}")).decision is ALLOW


FAILING = {"missing": "absent", "integer": "n", "list": "list", "null": "no"}


@pytest.mark.parametrize("claim", FAILING.values(), ids=FAILING)
def test_a_failed_substitution_decides_its_own_part(claim: str) -> None:
    """Otherwise, or when a claim is missing or not a string, the substitution fails."""
    resources = [f"${{principal.claims.{claim}}}", "bucket/*"]
    question = ask(principal=CLAIMING)
    assert evaluate(policy_of([rule(resources=resources)]), question).decision is DENY
    deny = evaluate(policy_of([rule("d", "deny", resources=resources), rule()]), question)
    assert (deny.reason, deny.rule) == ("denied by rule", "d")


def test_the_other_parts_are_judged_as_always() -> None:
    """The other parts are judged as always."""
    failing = ["${principal.claims.absent}"]
    files = [rule("d", "deny", resources=failing, tools=["other"]), rule("a")]
    assert evaluate(policy_of(files), QUESTION).decision is ALLOW


@pytest.mark.parametrize(("scope", "holds"), [("bucket/*", True), ("bucket/key", False)])
def test_a_failed_substitution_counts_as_touching_a_scope(scope: str, holds: bool) -> None:
    """Where a scope is asked for it counts as touching, so that its obligations hold."""
    obliged = rule("o", resources=["${principal.claims.x}"], obligations={"must_log": True})
    answer = evaluate(policy_of([obliged, rule("a")]), ask(resource=scope))
    assert (answer.decision, answer.rules) == (ALLOW, ("a",))
    assert ("must_log" in answer.obligations) is holds


def test_a_failed_substitution_alone_permits_no_scope() -> None:
    """Permission needs a rule that covers the scope: touching is not enough."""
    policy = policy_of([rule(resources=["${principal.claims.x}"])])
    assert evaluate(policy, ask(resource="*")).decision is DENY


# Obligations


def obliged(*pairs: tuple[str, dict[str, Any]]) -> Any:
    """Answer with allow rules that have these obligations, by id."""
    return evaluate(policy_of([rule(one, obligations=said) for one, said in pairs]), QUESTION)


@pytest.mark.parametrize(
    ("name", "values", "least"),
    [
        ("max_duration", ["1h", "900s", "15m"], Obligation(900, "b")),
        ("max_tokens", [5, 0, 0], Obligation(0, "b")),
        ("max_cost", ["2", "0.50", "0.5"], Obligation(500_000, "b")),
        ("must_log", [True, True, True], Obligation(True, "a")),
        ("require_reason", [True, True, True], Obligation(True, "a")),
    ],
)
def test_the_strictest_holds(name: str, values: list[Any], least: Obligation) -> None:
    """The shortest, the smallest, true if any says so; ties: the smallest id."""
    answer = obliged(*((one, {name: value}) for one, value in zip("abc", values, strict=True)))
    assert answer.obligations == {name: (least,)}
    assert answer.limit(name) == least
    assert answer.limit("max_other") is None


def test_absent_means_no_limit() -> None:
    """0 means zero, never "no limit"."""
    assert obliged(("a", {"max_tokens": 0})).limit("max_tokens").value == 0
    assert evaluate(policy_of([rule()]), QUESTION).obligations == {}


def test_all_rates_hold() -> None:
    """`rate_limit`: all of them, each counted per principal and rule."""
    answer = obliged(
        ("b", {"rate_limit": "1/second"}), ("a", {"rate_limit": ["0/day", "1/second", "0/day"]})
    )
    assert answer.obligations["rate_limit"] == (
        Obligation(Rate(0, 86400), "a"),
        Obligation(Rate(1, 1), "a"),
        Obligation(Rate(1, 1), "b"),
    )


def test_a_model_must_match_every_list() -> None:
    """`models`: a model must match every list, so every list is kept with its rule."""
    answer = obliged(("b", {"models": ["gpt-*"]}), ("a", {"models": ["*-mini", "o1"]}))
    lists = [([one.text for one in said.value], said.rule) for said in answer.obligations["models"]]
    assert lists == [(["*-mini", "o1"], "a"), (["gpt-*"], "b")]


def test_delivery_is_what_all_permit() -> None:
    """`delivery`: what all of them permit."""
    answer = obliged(("a", {"delivery": ["stdout", "exec"]}), ("b", {"delivery": ["exec"]}))
    assert permitted(answer) == ("exec",)
    assert permitted(evaluate(policy_of([rule()]), QUESTION)) == (
        *("stdout", "exec", "endpoint", "gateway"),
    )


def test_no_delivery_left() -> None:
    """If they leave no way of delivery, the answer is deny, reason `no delivery left`."""
    answer = obliged(
        ("c", {"delivery": ["stdout", "exec"]}),
        ("b", {"delivery": ["gateway"]}),
        ("a", {"must_log": True}),
    )
    assert (answer.decision, answer.reason) == (DENY, "no delivery left")
    assert (answer.rule, answer.rules) == ("b", ("b", "c"))
    assert answer.obligations == {}


# Several questions


def test_the_first_refused_decides() -> None:
    """All must be allowed; the first refused gives rule, reason and nearest miss."""
    policy = policy_of([rule("a", actions=["aws.s3.*"]), rule("d", "deny", actions=["*.delete"])])
    good, denied = ask(), ask(action="aws.s3.delete")
    unknown, malformed = ask(action="gcp.x.y"), ask(action="x")
    for refused in (denied, unknown, malformed):
        assert decide(policy, [good, refused, denied, unknown, malformed]) == evaluate(
            policy, refused
        )


def test_obligations_of_all_questions_hold_together() -> None:
    """The obligations of all hold together; a rule's rate counts once a request."""
    files = [
        rule("all", obligations={"rate_limit": "9/day", "max_tokens": 7, "must_log": True}),
        rule("put", actions=["aws.s3.put"], obligations={"max_tokens": 5, "rate_limit": "1/day"}),
        rule("get", actions=["aws.s3.get"], obligations={"max_tokens": 5, "must_log": True}),
    ]
    policy = policy_of(files)
    answer = decide(policy, [ask(), ask(action="aws.s3.get"), ask()])
    assert (answer.decision, answer.rule) == (ALLOW, "all")
    assert answer.rules == ("all", "get", "put")
    assert (answer.reason, answer.policy) == ("allowed by rule", policy.digest)
    assert answer.obligations == {
        "rate_limit": (Obligation(Rate(9, 86400), "all"), Obligation(Rate(1, 86400), "put")),
        "max_tokens": (Obligation(5, "get"),),
        "must_log": (Obligation(True, "all"),),
    }


def test_several_questions_can_leave_no_delivery() -> None:
    """The obligations of all hold together, so they can leave no delivery together."""
    files = [
        rule("put", actions=["aws.s3.put"], obligations={"delivery": ["exec"]}),
        rule("get", actions=["aws.s3.get"], obligations={"delivery": ["stdout"]}),
    ]
    answer = decide(policy_of(files), [ask(), ask(action="aws.s3.get")])
    assert (answer.decision, answer.reason, answer.rule) == (DENY, "no delivery left", "get")
    assert answer.rules == ("get", "put")


@pytest.mark.parametrize("policy", [None, policy_of([rule()])])
def test_to_ask_nothing_is_refused(policy: Policy | None) -> None:
    """What asks for no action is not well formed, and allows nothing."""
    answer = decide(policy, [])
    assert (answer.decision, answer.reason) == (DENY, "malformed request: no action")
    assert answer.policy == (policy.digest if policy else "")


# What must hold of any policy

SINGLE = ("max_duration", "max_tokens", "max_cost")


@property_of(250)
@given(rule_sets(), rules("z", "allow"), QUESTIONS)
def test_adding_an_allow_rule_never_loosens(
    files: list[Rule], added: Rule, question: Question
) -> None:
    """Adding an allow rule can therefore never loosen a limit that already held."""
    before = evaluate(policy_of(files), question)
    after = evaluate(policy_of([*files, added]), question)
    if before.reason == "denied by rule":
        assert (after.reason, after.rules) == (before.reason, before.rules)
    if before.decision is DENY:
        assert after.decision is DENY or before.reason != "no delivery left"
        return
    assert after.decision is ALLOW or after.reason == "no delivery left"
    if after.decision is ALLOW:
        assert set(permitted(after)) <= set(permitted(before))
        for name, entries in before.obligations.items():
            if name in SINGLE:
                assert after.obligations[name][0].value <= entries[0].value
            elif name not in {"must_log", "require_reason"}:
                assert set(entries) <= set(after.obligations[name])
            else:
                assert name in after.obligations


@property_of(250)
@given(rule_sets(), rules("z", "deny"), QUESTIONS)
def test_adding_a_deny_rule_never_opens(files: list[Rule], added: Rule, question: Question) -> None:
    """Adding a deny rule can never open anything."""
    before = evaluate(policy_of(files), question)
    after = evaluate(policy_of([*files, added]), question)
    if after.reason == "denied by rule":
        assert after.decision is DENY
    else:
        assert replace(after, policy="") == replace(before, policy="")


@property_of(300)
@given(rule_sets(5), st.randoms(use_true_random=False), st.integers(0, 5), QUESTIONS)
def test_order_of_files_never_changes_an_answer(
    files: list[Rule], random: Any, cut: int, question: Question
) -> None:
    """The order never changes an answer, neither that of files nor that of rules in them."""
    shuffled = random.sample(files, len(files))
    one = evaluate(policy_of(files), question)
    other = evaluate(policy_of(shuffled[:cut], shuffled[cut:]), question)
    assert replace(one, policy="") == replace(other, policy="")


@property_of(300)
@given(rule_sets(), st.lists(QUESTIONS, min_size=1, max_size=3))
def test_several_questions_are_never_looser_than_one(
    files: list[Rule], questions: list[Question]
) -> None:
    """All must be allowed; the obligations of all hold together."""
    policy = policy_of(files)
    together = decide(policy, questions)
    answers = [evaluate(policy, question) for question in questions]
    refused = [answer for answer in answers if answer.decision is DENY]
    if refused:
        assert together == refused[0]
    elif together.decision is ALLOW:
        for answer in answers:
            assert set(permitted(together)) <= set(permitted(answer))
            for name in set(SINGLE) & set(answer.obligations):
                assert together.obligations[name][0].value <= answer.obligations[name][0].value


@property_of(300)
@given(rule_sets(), QUESTIONS, st.text("xy/", max_size=3))
def test_a_scope_permits_only_what_its_names_are_permitted(
    files: list[Rule], question: Question, tail: str
) -> None:
    """A scope asks for everything under its prefix: each name alone must be allowed too."""
    policy = policy_of(files)
    scope = replace(question, resource=question.resource.removesuffix("*") + "*")
    whole = evaluate(policy, scope)
    name = scope.resource[:-1] + tail
    if whole.decision is ALLOW and name:
        part = evaluate(policy, replace(scope, resource=name))
        assert part.decision is ALLOW
        for limit in set(SINGLE) & set(part.obligations):
            assert whole.obligations[limit][0].value <= part.obligations[limit][0].value


@property_of(200)
@given(st.lists(st.fixed_dictionaries({}, optional=dict(OBLIGATIONS)), min_size=1, max_size=3))
def test_each_obligation_names_a_rule_that_says_so(said: list[dict[str, Any]]) -> None:
    """Each obligation in an answer says which rule it came from."""
    files = [rule(f"r{i}", obligations=one) if one else rule(f"r{i}") for i, one in enumerate(said)]
    policy = policy_of(files)
    by_id = {one.id: one for one in policy.rules}
    for name, entries in evaluate(policy, QUESTION).obligations.items():
        for entry in entries:
            value = by_id[entry.rule].obligations[name]
            if name == "rate_limit":
                assert entry.value in [Rate(*one) for one in value]
            else:
                assert entry.value == value


NASTY_TEXT = st.one_of(
    st.text(max_size=5),
    st.text("a/.*?\\${}\ud800\u0301\u200b\x00\n\ufffe\U0010ffff", max_size=6),
    st.just("okta/" + "e\u0301" * 1500),
    st.just("a" * 5000),
    st.sampled_from(["okta/alice", "aws.s3.put", "dev", "*"]),
)
NASTY_PRINCIPALS = st.builds(
    Principal,
    id=NASTY_TEXT,
    name=NASTY_TEXT,
    kind=st.sampled_from(["user", "robot"]),
    auth=st.sampled_from(AUTHS),
    groups=st.lists(NASTY_TEXT, max_size=2).map(tuple),
    claims=CLAIMS | st.dictionaries(NASTY_TEXT, NASTY_TEXT | st.floats() | st.none(), max_size=2),
    actor=st.none() | NASTY_TEXT,
)


@property_of(300)
@given(rule_sets(), NASTY_PRINCIPALS, NASTY_TEXT, NASTY_TEXT, NASTY_TEXT, NASTY_TEXT)
def test_no_request_raises(
    files: list[Rule], who: Principal, action: str, resource: str, tool: str, environment: str
) -> None:
    """Whatever is asked has an answer."""
    policy = policy_of(files)
    whole = ask(principal=who, action=action, resource=resource, tool=tool, environment=environment)
    part = ask(principal=replace(ALICE, name=who.name, claims=who.claims), resource=resource)
    for question in (whole, part, ask(principal=who), ask(resource=resource)):
        assert evaluate(policy, question).decision in {ALLOW, DENY}
        assert evaluate(None, question).decision is DENY
