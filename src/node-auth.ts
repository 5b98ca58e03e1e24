/** How the clients of one node prove who they are, as its configuration says. */
import type { AuthConfig } from './config.ts';
import type { TlsLogger } from './security/watched-material.ts';
import { WatchedTokenKeys } from './security/watched-token-keys.ts';
import type { AuthOptions } from './service/guard.ts';

/** What a key signed is worth nothing this soon after it is taken out of the files. */
const POLL_MS = 3000;

export interface NodeAuth {
  readonly options: AuthOptions;
  stop(): void;
}

/** Rejects with a `Failure` if a file is missing or holds no public key. */
export async function openNodeAuth(
  config: AuthConfig | undefined,
  logger: TlsLogger,
): Promise<NodeAuth | undefined> {
  if (config === undefined) return undefined;
  const { admins, clientCertificates: takesCertificates, maxTokenLifetimeMs, tokenKeys } = config;
  const keys = await WatchedTokenKeys.open(tokenKeys, logger);
  keys.start(POLL_MS);
  return {
    options: { admins: new Set(admins), maxTokenLifetimeMs, takesCertificates, keys },
    stop: () => keys.stop(),
  };
}
