// A real OpenID Connect provider for tests: client credentials, JWT and opaque
// access tokens, introspection, revocation, and a key rotation on demand.
//
//   node issuer.mjs PORT
//   POST /token      client app1, secret app1secret; resource=urn:opaque for an
//                    opaque token
//   POST /token/introspection, /token/revocation
//                    client gateway, secret gatewaysecret; or gateway-with-key
//                    by the key that CLIENT_JWK is the public half of
//   POST /rotate     a new signing key; the old one stays, unless x-drop-old
import http from 'node:http';
import { webcrypto } from 'node:crypto';
import { Provider } from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';

// Node 18, Debian's, has no names for these.
globalThis.crypto ??= webcrypto;
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'read:pets write:pets';

let count = 0;
async function newKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), kid: `key-${++count}`, alg, use: 'sig' };
}

let keys = [await newKey('RS256')];
let provider;
function build() {
  provider = new Provider(issuer, {
    jwks: { keys },
    scopes: scope.split(' '),
    clients: [{
      client_id: 'app1', client_secret: 'app1secret', scope,
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    }, {
      client_id: 'gateway', client_secret: 'gatewaysecret',
      grant_types: [], redirect_uris: [], response_types: [],
    }, ...(process.env.CLIENT_JWK ? [{
      client_id: 'gateway-with-key', token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [JSON.parse(process.env.CLIENT_JWK)] },
      grant_types: [], redirect_uris: [], response_types: [],
    }] : [])],
    ttl: { ClientCredentials: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:gateway',
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope, audience: 'gateway', accessTokenTTL: 300,
          ...(resource === 'urn:opaque' ? { accessTokenFormat: 'opaque' } : {
            accessTokenFormat: 'jwt', jwt: { sign: { alg: keys[0].alg } },
          }),
        }),
      },
    },
  });
}
build();

http.createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    keys = [await newKey('RS256'), ...(request.headers['x-drop-old'] ? [] : keys)];
    build();
    response.end('rotated\n');
    return;
  }
  provider.callback()(request, response);
}).listen(port, '127.0.0.1');
