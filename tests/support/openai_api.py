"""A strict OpenAI on loopback: the admin API, the token exchange, usage, and two calls of models.

Written from the `openai` package's typed models and OpenAI's pages. It checks method, path, headers
and body, remembers what it minted, and holds it to scopes, project, expiry and deletion.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from agentauth_cli.wiring import utc_now
from support import openai_shapes as shapes
from support import openai_usage
from support.faulty import Part
from support.issuer import signer
from support.openai_org import Organization, Project, RefusedError, Rule
from support.openai_wire import handler

if TYPE_CHECKING:
    from agentauth_cli.ports import Clock
    from support.issuer import Signer
    from support.openai_org import Key

PROJECT, ACCOUNT, PROVIDER = "proj_dev", "user-sa1", "idp_1"
ISSUER, AUDIENCE = "https://issuer.example", "https://api.openai.com/v1"
EXCHANGE = "/oauth/token"
MODELS = ("gpt-4o-mini", "gpt-4o")
PRICE = Decimal("0.000001")
"""USD a token, in or out."""

Said = Mapping[str, Any]
Instead = Iterable[Part] | Callable[[], Iterable[Part]]
_ROUTES: list[tuple[str, str, str]] = [
    ("POST", EXCHANGE, "exchange"),
    ("GET", "/v1/models", "models"),
    ("POST", "/v1/chat/completions", "chat"),
    ("GET", "/v1/organization/projects", "list_projects"),
    ("GET", "/v1/organization/projects/{}/service_accounts", "list_accounts"),
    ("POST", "/v1/organization/projects/{}/service_accounts", "create_account"),
    ("GET", "/v1/organization/projects/{}/service_accounts/{}", "retrieve_account"),
    ("POST", "/v1/organization/projects/{}/service_accounts/{}/api_keys", "create_key"),
    ("GET", "/v1/organization/projects/{}/api_keys", "list_keys"),
    ("DELETE", "/v1/organization/projects/{}/api_keys/{}", "delete_key"),
    ("GET", "/v1/organization/usage/{}", "usage"),
    ("GET", "/v1/organization/costs", "costs"),
]


class OpenAIServer:
    """The server, while its `with` block lasts. It has one project, account and rule to begin with.

    `instead` sends bytes (and waits seconds) in place of the answer at a path, `over` puts members
    over a good answer there (None stays null), of what was done all the same. `asked` are the
    requests; `tokens` is what a chat costs, in and out.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self.clock = clock
        self.key = signer("ES256")
        self.org = Organization(self.now)
        self.org.projects[PROJECT] = Project(PROJECT)
        self.org.add_account(PROJECT, "agentauth").id = ACCOUNT
        self.org.rules.append(Rule(PROVIDER, ACCOUNT, ISSUER, AUDIENCE, [self.key.jwk()]))
        self.instead: dict[str, Instead] = {}
        self.over: dict[str, Mapping[str, Any]] = {}
        self.asked: list[shapes.Asked] = []
        self.calls: list[openai_usage.Call] = []
        self.tokens = 12, 8
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def now(self) -> float:
        """Return the Unix time."""
        return self.clock().timestamp()

    @property
    def url(self) -> str:
        """The origin."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        """What `OpenAI(base_url=)` takes."""
        return f"{self.url}/v1"

    @property
    def token_url(self) -> str:
        """The whole URL of the token exchange."""
        return self.url + EXCHANGE

    @property
    def admin_key(self) -> str:
        """The organisation's admin key."""
        return self.org.admin_key

    def subject_token(self, signed_by: Signer | None = None, **claims: object) -> str:
        """Return a token that the rule takes, unless a claim (None: away) or the signer forbids."""
        usual = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": int(self.now()) + 300}
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        return (signed_by or self.key).token(said)

    def answered(self, asked: shapes.Asked) -> tuple[int, Said]:
        """Return status and body of the answer."""
        with self._lock:
            self.asked.append(asked)
            try:
                said = self._routed(asked)
            except RefusedError as error:
                if asked.path == EXCHANGE:
                    return error.status, {"error": error.code, "error_description": error.message}
                return error.status, error.body()
            return 200, {**said, **self.over.get(asked.path, {})}

    def _routed(self, asked: shapes.Asked) -> Said:
        for method, path, name in _ROUTES:
            found = re.fullmatch(path.replace("{}", "([^/]+)"), asked.path)
            if found is not None and method == asked.method:
                if path.startswith("/v1/organization/"):
                    self._admin(asked)
                answer: Callable[..., Said] = getattr(self, f"_{name}")
                return answer(asked, *found.groups())
        raise RefusedError(404, "unknown_url", f"Unknown request URL: {asked.method} {asked.path}")

    def _admin(self, asked: shapes.Asked) -> None:
        if shapes.bearer(asked) != self.org.admin_key:
            missing = "Missing scopes: api.management.read."
            raise RefusedError(401, None, f"You have insufficient permissions. {missing}")

    def _allowed(self, asked: shapes.Asked, *scopes: str) -> Key:
        """Return the key of a request, if it has one of these scopes and is of this project."""
        key = self.org.key(shapes.bearer(asked))
        project = asked.headers.get("openai-project")
        if project is not None and project != key.account.project:
            message = "OpenAI-Project header should match project for API key"
            raise RefusedError(401, "mismatched_project", message)
        if key.scopes and not set(scopes) & set(key.scopes):
            message = f"You have insufficient permissions. Missing scopes: {scopes[0]}."
            raise RefusedError(401, None, message)
        return key

    def _exchange(self, asked: shapes.Asked) -> Said:
        names = ("grant_type", "subject_token", "subject_token_type")
        needed = dict.fromkeys((*names, "identity_provider_id", "service_account_id"), str)
        if "authorization" in asked.headers:
            raise RefusedError(400, "invalid_request", "the exchange takes no Authorization")
        token = self.org.exchange(shapes.body(asked, needed, {}))
        return {
            "access_token": token.value,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": self.org.life,
        }

    def _list_projects(self, asked: shapes.Asked) -> Said:
        return shapes.page(asked, [shapes.project(one) for one in self.org.projects.values()])

    def _list_accounts(self, asked: shapes.Asked, project: str) -> Said:
        return shapes.page(asked, [shapes.account(one) for one in self.org.accounts_of(project)])

    def _retrieve_account(self, asked: shapes.Asked, project: str, account: str) -> Said:
        shapes.query(asked)
        return shapes.account(self.org.account(project, account))

    def _create_account(self, asked: shapes.Asked, project: str) -> Said:
        optional: dict[str, shapes.Type] = {"create_service_account_only": (bool, type(None))}
        body = shapes.body(
            asked, {"name": str}, optional | {"expires_in_seconds": shapes.OPTIONAL_INT}
        )
        alone, seconds = body.get("create_service_account_only"), shapes.seconds(body)
        if alone and seconds is not None:
            message = "expires_in_seconds cannot be used with create_service_account_only"
            raise RefusedError(400, "invalid_value", message)
        made = self.org.add_account(project, body["name"], role="none" if alone else "member")
        key = None if alone else shapes.made_key(self.org.add_key(made, "Secret Key", seconds))
        return {**shapes.account(made), "api_key": key}

    def _create_key(self, asked: shapes.Asked, project: str, account: str) -> Said:
        body = shapes.body(asked, {}, shapes.KEY_OPTIONS)
        scopes = body.get("scopes", [])
        if not all(isinstance(one, str) for one in scopes):
            raise RefusedError(400, "invalid_type", "scopes is no list of strings")
        owner = self.org.account(project, account)
        name = body.get("name", "Secret Key")
        return shapes.made_key(self.org.add_key(owner, name, shapes.seconds(body), scopes))

    def _list_keys(self, asked: shapes.Asked, project: str) -> Said:
        asked.query.pop("owner_project_access", None)  # each owner here has access
        return shapes.page(asked, [shapes.key(one) for one in self.org.keys_of(project)])

    def _delete_key(self, asked: shapes.Asked, project: str, key: str) -> Said:
        shapes.query(asked)
        gone = self.org.delete_key(project, key)
        return {"object": "organization.project.api_key.deleted", "id": gone.id, "deleted": True}

    def _usage(self, asked: shapes.Asked, kind: str) -> Said:
        return openai_usage.usage(self.calls, asked.query, self.now(), kind)

    def _costs(self, asked: shapes.Asked) -> Said:
        return openai_usage.costs(self.calls, asked.query, self.now())

    def _models(self, asked: shapes.Asked) -> Said:
        shapes.query(asked)
        key = self._allowed(asked, "api.model.read", "api.all.read")
        names = self.org.project(key.account.project).models or MODELS
        data = [{"id": n, "object": "model", "created": 0, "owned_by": "openai"} for n in names]
        return {"object": "list", "data": data}

    def _chat(self, asked: shapes.Asked) -> Said:
        body = shapes.body(asked, {"model": str, "messages": list}, {"max_completion_tokens": int})
        key = self._allowed(asked, "model.request")
        project, model = self.org.project(key.account.project), body["model"]
        if model not in (project.models or MODELS):
            message = f"Project `{project.id}` does not have access to model `{model}`"
            raise RefusedError(403, "model_not_found", message)
        spent = sum(one.cost for one in self.calls if one.project_id == project.id)
        if project.spend_limit is not None and spent * 100 >= project.spend_limit:
            raise RefusedError(429, "insufficient_quota", "You exceeded your current quota.")
        into, out = self.tokens
        now, cost = int(self.now()), PRICE * (into + out)
        owner = key.account.id, key.id or None
        self.calls.append(openai_usage.Call(now, project.id, *owner, model, into, out, cost))
        return shapes.completion(model, now, self.tokens)
