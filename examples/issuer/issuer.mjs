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
//
// With TLS_DIR it speaks TLS, with server.pem and server.key there, and knows
// clients by certificates of ca.pem: gateway-with-certificate, and app-bound, whose
// tokens are bound to the certificate.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { webcrypto } from 'node:crypto';
import { Provider } from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';

// Node 18, Debian's, has no names for these.
globalThis.crypto ??= webcrypto;
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const port = Number(process.argv[2]);
const tls = process.env.TLS_DIR && {
  cert: readFileSync(`${process.env.TLS_DIR}/server.pem`), key: readFileSync(`${process.env.TLS_DIR}/server.key`),
  ca: readFileSync(`${process.env.TLS_DIR}/ca.pem`), requestCert: true, rejectUnauthorized: false,
};
const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
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
      jwks: { keys: [JSON.parse(process.env.CLIENT_JWK)].flat() },
      grant_types: [], redirect_uris: [], response_types: [],
    }] : []), ...(tls ? [{
      client_id: 'gateway-with-certificate', token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'gateway.example',
      grant_types: [], redirect_uris: [], response_types: [],
    }, {
      client_id: 'app-bound', token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'app.example', scope,
      tls_client_certificate_bound_access_tokens: true,
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    }] : [])],
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt', ...(tls ? ['tls_client_auth'] : [])],
    ttl: { ClientCredentials: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      ...(tls && { mTLS: {
        enabled: true, tlsClientAuth: true, certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns' && ctx.socket.getPeerX509Certificate().checkHost(expected) !== undefined,
      } }),
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

const serve = async (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    keys = [await newKey('RS256'), ...(request.headers['x-drop-old'] ? [] : keys)];
    build();
    response.end('rotated\n');
    return;
  }
  provider.callback()(request, response);
};
(tls ? https.createServer(tls, serve) : http.createServer(serve)).listen(port, '127.0.0.1');
