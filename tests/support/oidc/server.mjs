// A real OpenID provider on loopback, for the tests: panva's oidc-provider, where everybody who
// comes is logged in as alice and agrees. The first line of standard output is its issuer. Keys:
// a line on standard input puts a new signing key in front of the others.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const found = createRequire(`${process.argv[2]}/package.json`).resolve("oidc-provider");
const { default: Provider, errors } = await import(pathToFileURL(found));

const key = () => ({
  ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }),
  kid: randomUUID(),
  alg: "ES256",
  use: "sig",
});

const RESOURCE = "https://provider.example";

const configuration = (keys) => ({
  clients: [
    {
      client_id: "agents",
      application_type: "native",
      token_endpoint_auth_method: "none",
      redirect_uris: ["http://127.0.0.1/callback"],
      grant_types: [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
      ],
      response_types: ["code"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys },
  cookies: { keys: ["made-up"] },
  pkce: { required: () => true },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  ttl: { IdToken: 300, AccessToken: 300, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600, DeviceCode: 600 },
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: async (ctx, form) => { ctx.body = `<!doctype html>${form}`; },
      userCodeConfirmSource: async (ctx, form) => { ctx.body = `<!doctype html>${form}`; },
      successSource: async (ctx) => { ctx.body = "<!doctype html>done"; },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== RESOURCE) throw new errors.InvalidTarget();
        return { scope: "", audience: RESOURCE, accessTokenFormat: "jwt", accessTokenTTL: 300, jwt: { sign: { alg: "ES256" } } };
      },
    },
  },
});

const keys = [key()];
let provider;
let issuer;

// oidc-provider keeps its state in memory of the process: a provider with new keys finds it again.
const state = new Map();
class Kept {
  constructor(name) { this.name = name; }
  at(id) { return `${this.name}:${id}`; }
  async upsert(id, payload, expiresIn) { state.set(this.at(id), { ...payload }); }
  async find(id) { return state.get(this.at(id)); }
  async by(field, value) {
    for (const [at, one] of state) if (at.startsWith(`${this.name}:`) && one[field] === value) return one;
    return undefined;
  }
  async findByUid(uid) { return this.by("uid", uid); }
  async findByUserCode(code) { return this.by("userCode", code); }
  async consume(id) { state.get(this.at(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { state.delete(this.at(id)); }
  async revokeByGrantId(grantId) {
    for (const [at, one] of state) if (one.grantId === grantId) state.delete(at);
  }
}

const begin = () => {
  provider = new Provider(issuer, { ...configuration(keys), adapter: Kept });
};

const agreed = async (req, res) => {
  const { uid, prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  const accountId = session?.accountId ?? "alice";
  let result = { login: { accountId } };
  if (prompt.name === "consent") {
    const grant = (grantId && (await provider.Grant.find(grantId))) ||
      new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope("openid profile email offline_access");
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
};

const server = createServer((req, res) => {
  if (req.url.startsWith("/interaction/")) {
    agreed(req, res).catch((error) => { res.statusCode = 500; res.end(String(error)); });
  } else {
    provider.callback()(req, res);
  }
});

server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  begin();
  console.log(issuer);
});

createInterface({ input: process.stdin })
  .on("line", () => { keys.unshift(key()); begin(); console.log("rotated"); })
  .on("close", () => process.exit(0));
