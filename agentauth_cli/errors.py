"""What can go wrong: one class for each, with its exit code and its advice.

AgentAuthError
├── UsageError                      2  the command line, or a name that is not configured
│   └── UnknownNameError
├── ConfigError                     3  a file is missing or invalid, or a store is unsafe to use
│   ├── NotConfiguredError
│   ├── PolicyMissingError
│   ├── UnsafeFileError
│   ├── UnavailableError
│   ├── RecursionRefusedError
│   ├── KeyringError
│   │   └── KeyringSilentError
│   └── OriginError
├── AuthenticationError             4  not logged in, expired, or the token was refused
│   └── SourceCredentialError
├── PermissionDeniedError           5  denied by policy
│   └── UnpricedModelError
├── SwitchedOffError                6  stopped by a kill switch
│   ├── ToolDisabledError
│   ├── ProviderDisabledError
│   ├── PrincipalBlockedError
│   ├── EnvironmentDisabledError
│   └── SwitchFileError
├── LimitError                      7  over a budget, token or rate limit
│   ├── BudgetExceededError
│   ├── QuotaExceededError
│   │   └── TooManyTokensError
│   └── RateLimitExceededError
├── ProviderError                   8  the provider refused or could not be reached
│   ├── ProviderRefusedError
│   ├── ProviderUnreachableError
│   └── ProviderAnswerError
├── StateError                      9  state or audit could not be read or written
│   ├── LedgerMissingError
│   ├── LedgerVersionError
│   ├── RevokedError
│   └── UndeliveredError
├── CommandUnusableError          126  the command of `exec` cannot be run
└── CommandMissingError           127  the command of `exec` is not there

`Stopped` stands beside the tree: a signal is no fault. An error is shown as
``agentauth: WHAT: WHY. HOW TO MEND IT``: `what` belongs to the class, the message says why,
`hint` how to mend it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import PolicyDecision
    from agentauth_cli.tables.shape import Problem


class AgentAuthError(Exception):
    """Any failure that this program foresees.

    `message` says why in one clause, without a final period. `hint` is the mend, a sentence or a
    command, empty where there is none. `retry_after` is in whole seconds where waiting helps.
    """

    exit_code = 70
    what = "failed"
    advice = ""

    def __init__(
        self, message: str = "", *, hint: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.advice if hint is None else hint
        self.retry_after = retry_after


class UsageError(AgentAuthError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2
    what = "usage"
    advice = "See `agentauth --help`"


class UnknownNameError(UsageError):
    """A tool, environment or provider that is not configured."""

    what = "unknown name"
    advice = "See the [tools] and [environments] of config.toml"


class ConfigError(AgentAuthError):
    """A configuration, policy or budget file does not load.

    `problems` are all errors of all files, in order; empty where the failure is not of that kind.
    """

    exit_code = 3
    what = "configuration"
    advice = "`agentauth policy lint` lists every error"

    def __init__(
        self, message: str = "", *, hint: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class NotConfiguredError(ConfigError):
    """There is no configuration yet."""

    what = "not configured"
    advice = "Run `agentauth init`"


class PolicyMissingError(ConfigError):
    """There is no policy file, so everything is denied."""

    what = "no policy"
    advice = "Run `agentauth init`, or write policy.toml"


class UnsafeFileError(ConfigError):
    """A file or folder that somebody else could have changed, or that is no regular file."""

    what = "unsafe file"
    advice = "Set owner and mode, or move it away"


class UnavailableError(ConfigError):
    """The configuration asks for something that this version does not do."""

    what = "not available"
    advice = "Change that key, or use a version that has it"


class RecursionRefusedError(ConfigError):
    """agentauth was asked for its own source credential."""

    what = "asked for its own source"
    advice = "Give `source` another profile"


class KeyringError(ConfigError):
    """The keyring of the system is missing, locked, or not one to keep a secret in."""

    what = "keyring"
    advice = (
        "Without one that is unlocked, use AGENTAUTH_TOKEN, AGENTAUTH_API_KEY"
        " or the identity of your CI"
    )


class KeyringSilentError(KeyringError):
    """The keyring did not answer in its time: it may still do what it was asked."""


class OriginError(ConfigError):
    """What is in the keyring was stored for another configuration than this one."""

    what = "stored for another configuration"
    advice = "Log in again: `agentauth login`"


class AuthenticationError(AgentAuthError):
    """Who is asking could not be established. `reason` is a code for programs."""

    exit_code = 4
    what = "not authenticated"
    advice = "`agentauth whoami` shows which identity is used"

    def __init__(
        self, message: str = "", *, reason: str = "refused", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class SourceCredentialError(AuthenticationError):
    """The credential that mints the others is absent or has expired."""

    what = "no source credential"
    advice = "Log in to AWS, or set `source` of the environment"


class PermissionDeniedError(AgentAuthError):
    """The policy does not allow the request."""

    exit_code = 5
    what = "denied"
    advice = "`agentauth check` says which rule, or what is nearest"

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        decision: PolicyDecision | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.decision = decision


class UnpricedModelError(PermissionDeniedError):
    """A cost is limited or asked for, and nothing says what the model costs."""

    what = "no price"
    advice = "Add the model to [prices] of budgets.toml"


class SwitchedOffError(AgentAuthError):
    """A kill switch is on."""

    exit_code = 6
    what = "switched off"
    advice = "`agentauth status` shows the switches; `agentauth enable` lifts one"


class ToolDisabledError(SwitchedOffError):
    """The tool is switched off."""


class ProviderDisabledError(SwitchedOffError):
    """The provider is switched off."""


class PrincipalBlockedError(SwitchedOffError):
    """The principal, one of its groups, or who acts for it is switched off."""


class EnvironmentDisabledError(SwitchedOffError):
    """The environment is switched off."""


class SwitchFileError(SwitchedOffError):
    """killswitch.toml cannot be read, so everything stays off."""

    what = "kill switches unreadable"
    advice = "Mend killswitch.toml; until then everything is stopped"


class LimitError(AgentAuthError):
    """Over a budget, token or rate limit."""

    exit_code = 7
    what = "over a limit"
    advice = "`agentauth budget show` shows what is left"


class BudgetExceededError(LimitError):
    """A budget of budgets.toml, or a cost cap, would be exceeded."""

    what = "over budget"


class QuotaExceededError(LimitError):
    """More than an obligation of the policy permits."""


class TooManyTokensError(QuotaExceededError):
    """More tokens than the policy permits for one lease."""

    what = "too many tokens"


class RateLimitExceededError(LimitError):
    """Too many requests in too short a time."""

    what = "rate limit"
    advice = "Wait"


class ProviderError(AgentAuthError):
    """The provider refused, or could not be reached."""

    exit_code = 8
    what = "provider"
    advice = "Try again; `--debug` shows where it failed"


class ProviderRefusedError(ProviderError):
    """The provider answered with an error. `code` and `request_id` are its own."""

    what = "provider refused"

    def __init__(
        self, message: str = "", *, hint: str | None = None, code: str = "", request_id: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.request_id = request_id


class ProviderUnreachableError(ProviderError):
    """No answer within the deadline."""

    what = "provider unreachable"
    advice = "Check the network and the endpoint of the environment"


class ProviderAnswerError(ProviderError):
    """The answer is not one to believe."""

    what = "provider answer refused"
    advice = "Check the endpoint of the environment"


class StateError(AgentAuthError):
    """State or audit could not be read or written; nothing was vended."""

    exit_code = 9
    what = "state"
    advice = "Check the state directory and its disk"


class LedgerMissingError(StateError):
    """The ledger that belongs to this configuration is gone, or is another one."""

    what = "ledger missing"
    advice = "Bring it back, or begin anew: `agentauth ledger reset --reason TEXT`"


class LedgerVersionError(StateError):
    """The ledger was written by another version of the schema."""

    what = "ledger version"
    advice = "Use the version of agentauth that wrote it"


class RevokedError(StateError):
    """The lease was released before its credential could be issued."""

    what = "revoked"
    advice = "`agentauth lease show LEASE` says by whom"


class UndeliveredError(StateError):
    """The credential was minted, but its bytes could not be handed over."""

    what = "undelivered"
    advice = "Check where standard output goes"


class CommandUnusableError(AgentAuthError):
    """The command of `exec` cannot be run: no program, no permission, or too much of something."""

    exit_code = 126
    what = "cannot be run"
    advice = "Check that it is a program, and its permissions"


class CommandMissingError(AgentAuthError):
    """The command of `exec` is not there."""

    exit_code = 127
    what = "not found"
    advice = "Check its name, and PATH"


class Stopped(BaseException):
    """The process was told to stop by a signal; raised in the main thread."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.exit_code = 128 + signum
