"""A service that vends for its callers, as the README shows it: twenty lines."""

from typing import Annotated

from fastapi import FastAPI, Header, HTTPException

from agentauth_cli import AgentAuth, AgentAuthError, AuthenticationError

auth = AgentAuth.from_config()
app = FastAPI()


@app.post("/uploads/{name}")
async def upload(name: str, authorization: Annotated[str, Header()] = "") -> dict[str, str]:
    """Vend a credential for one object, for whoever may write it."""
    where = f"s3://acme-agents/agents/x/{name}"
    try:
        agent = auth.authenticate(authorization)
        credential = await auth.avend(agent, "put_file", resource=where)
    except AuthenticationError as error:
        raise HTTPException(401, error.reason) from None
    except AgentAuthError as error:
        raise HTTPException(403, error.message) from None
    return {**credential.credentials, "lease": credential.lease}
