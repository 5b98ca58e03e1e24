/** `holdfast token`: keys that sign tokens, tokens, and the end of tokens. */
import type { Command } from 'commander';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  durationOption,
  print,
  printJson,
  withClient,
} from './client-options.ts';

const DEFAULT_LIFETIME_MS = 8 * 3_600_000;

interface IssueOptions {
  readonly key: string;
  readonly principal: string;
  readonly cluster: string;
  readonly expires: number;
  readonly json?: boolean;
}
interface RevokeOptions extends ClientOptions {
  readonly principal?: string;
  readonly id?: string;
}

export function registerToken(program: Command): void {
  const token = program.command('token').description('make keys, issue and revoke tokens');
  token
    .command('key')
    .description('a pair of keys: the .key signs and belongs on no node, the .pub verifies')
    .option('--out <PATH>', 'writes PATH.key and PATH.pub', 'tokens')
    .action(makeKey);
  token
    .command('issue')
    .description('a token on standard output, and nothing else')
    .requiredOption('--key <FILE>', 'the .key that signs it')
    .requiredOption('--principal <NAME>', 'who shows it, as access rules name it')
    .requiredOption('--cluster <ID>', 'as "cluster init" and "cluster status" tell it')
    .option('--expires <TIME>', '30m, 8h, 7d (default: 8h)', durationOption, DEFAULT_LIFETIME_MS)
    .option('--json', 'with its id and when it expires')
    .action(issue);
  addClientOptions(token.command('revoke').description('refuse tokens from now on'))
    .option('--principal <NAME>', 'all that were issued to it until now')
    .option('--id <ID>', 'one, by the id that "token issue --json" told')
    .action(revoke);
}

async function makeKey({ out }: { readonly out: string }): Promise<void> {
  const { newTokenKey } = await import('../security/token-files.ts');
  const { id, key, publicKey } = newTokenKey(out);
  console.log(`key ${id}: ${key}, ${publicKey}`);
  console.log(`In the configuration of every node:\nauth:\n  tokenKeys: [${publicKey}]`);
  console.log('  admins: [NAME]');
}

async function issue(options: IssueOptions): Promise<void> {
  const { cluster: clusterId, expires: lifetimeMs, principal } = options;
  const { isName } = await import('../convert.ts');
  if (!isName(principal)) {
    throw new Failure('--principal: 1 to 127 of the characters A-Z a-z 0-9 _ . -', ExitCode.usage);
  }
  const { readSigningKey } = await import('../security/token-keys.ts');
  const { issueToken } = await import('../security/tokens.ts');
  const nowMs = Date.now();
  const key = await readSigningKey(options.key);
  const { id, token } = await issueToken(key, { clusterId, principal, lifetimeMs, nowMs });
  const expires_at_ms = nowMs + lifetimeMs;
  if (options.json === true) printJson({ token, id, principal, expires_at_ms });
  else void print(`${token}\n`);
}

async function revoke(options: RevokeOptions): Promise<void> {
  const { id, principal } = options;
  if ((id === undefined) === (principal === undefined)) {
    throw new Failure('give --principal or --id: one of them', ExitCode.usage);
  }
  await withClient(options, async (client) => {
    await client.access.revokeTokens(
      id === undefined ? { principal: principal! } : { tokenId: id },
    );
    if (options.json === true) printJson({ revoked: true });
    else void print(id === undefined ? `tokens of ${principal} are revoked\n` : 'revoked\n');
  });
}
