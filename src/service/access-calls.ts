/** Access rules and revocations: proposals to the metadata shard, in force once applied. */
import { OWNERS_LEVEL } from '../broker/feature-level.ts';
import {
  type AccessRule,
  EVERYBODY,
  orderedVerbs,
  RESOURCE_KINDS,
  ruleName,
  VERBS,
  VERBS_ON,
} from '../cluster/access-api.ts';
import type { MetaCommand } from '../cluster/api.ts';
import { checkedId, checkedName, checkedNumber, int64, isName } from '../convert.ts';
import { CLOCK_SKEW_MS } from '../security/tokens.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { catchUpMeta, changeMeta, type MetaChangeParts } from './meta-changes.ts';

interface RuleFields {
  readonly principal: string;
  readonly kind: number;
  readonly name: string;
  readonly prefix: boolean;
  readonly verbs: readonly number[];
}
export interface RuleRequest {
  readonly rule: RuleFields | null;
}
export interface ListAccessRequest {
  readonly page_size: number;
  readonly page_token: string;
}
export interface RevokeTokensRequest {
  readonly principal: string;
  readonly issued_until_ms?: string;
  readonly token_id: string;
}

export class AccessCalls {
  readonly #parts: MetaChangeParts;
  readonly #nowMs: () => number;

  constructor(parts: MetaChangeParts, nowMs: () => number) {
    this.#parts = parts;
    this.#nowMs = nowMs;
  }

  async grant(call: Call, { rule }: RuleRequest): Promise<object> {
    await this.#change(call, { type: 'grantAccess', rule: checkedRule(rule) });
    return {};
  }

  async revoke(call: Call, { rule }: RuleRequest): Promise<object> {
    await this.#change(call, { type: 'revokeAccess', rule: checkedRule(rule) });
    return {};
  }

  async list(call: Call, request: ListAccessRequest): Promise<object> {
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const asked = checkedNumber('page_size', request.page_size, maxPageSize);
    const size = asked || defaultPageSize;
    const after = ruleBeforePage(request.page_token);
    await catchUpMeta(this.#parts, call);
    const found = this.#parts.host
      .meta()
      .access()
      .after(after, size + 1);
    const rules = found.slice(0, size);
    const last = found.length > size ? ruleName(rules.at(-1)!) : '';
    return {
      rules: rules.map(ruleFields),
      next_page_token: Buffer.from(last).toString('base64url'),
    };
  }

  async revokeTokens(call: Call, request: RevokeTokensRequest): Promise<object> {
    const { principal, token_id: tokenId } = request;
    if ((principal === '') === (tokenId === '')) {
      throw new CallError('INVALID_REQUEST', 'give principal or token_id: one of them');
    }
    if (tokenId !== '') {
      const id = checkedId('token_id', tokenId);
      await this.#change(call, { type: 'revokeToken', tokenId: id });
      return {};
    }
    const nowMs = this.#nowMs();
    const given = request.issued_until_ms;
    const until = given === undefined ? nowMs : int64('issued_until_ms', given);
    const issuedUntilMs = checkedNumber('issued_until_ms', until, nowMs + CLOCK_SKEW_MS);
    const who = checkedName('principal', principal);
    await this.#change(call, { type: 'revokePrincipal', principal: who, issuedUntilMs });
    return {};
  }

  #change(call: Call, command: MetaCommand): Promise<void> {
    return changeMeta(this.#parts, call, command, OWNERS_LEVEL);
  }
}

const RULE_NAME = /^(?:topic|group|cluster)\/(?:exact|prefix)\/[^/]*\/[^/]*$/;

function ruleBeforePage(token: string): string {
  const name = Buffer.from(token, 'base64url').toString('utf8');
  if (token === '' || RULE_NAME.test(name)) return name;
  throw new CallError('INVALID_REQUEST', 'page_token is not one that an earlier page gave');
}

function checkedRule(fields: RuleFields | null): AccessRule {
  if (fields === null) throw new CallError('INVALID_REQUEST', 'rule is missing');
  const { name, prefix: isPrefix, principal } = fields;
  if (principal !== EVERYBODY) checkedName('principal', principal);
  const kind = RESOURCE_KINDS[fields.kind - 1];
  if (kind === undefined) {
    throw new CallError('INVALID_REQUEST', 'kind must be TOPIC, GROUP or CLUSTER');
  }
  const isWhole = kind === 'cluster' ? name === '' && !isPrefix : isPrefix && name === '';
  if (kind === 'cluster' && !isWhole) {
    throw new CallError('INVALID_REQUEST', 'the cluster has no name: leave name and prefix out');
  }
  // A prefix may be what is no name by itself, such as a dot.
  if (!isWhole && !(isPrefix && isName(`${name}x`))) checkedName('name', name);
  return { principal, kind, name, isPrefix, verbs: checkedVerbs(kind, fields.verbs) };
}

function checkedVerbs(kind: AccessRule['kind'], numbers: readonly number[]): AccessRule['verbs'] {
  const known = numbers.map((number) => VERBS[number - 1]);
  const allowed = VERBS_ON[kind];
  if (known.length > 0 && known.every((verb) => verb !== undefined && allowed.includes(verb))) {
    return orderedVerbs(known);
  }
  const list = allowed.map((verb) => verb.toUpperCase()).join(', ');
  throw new CallError('INVALID_REQUEST', `verbs on a ${kind} are ${list}: give at least one`);
}

function ruleFields({ isPrefix, kind, name, principal, verbs }: AccessRule): object {
  return {
    ...{ principal, kind: 1 + RESOURCE_KINDS.indexOf(kind), name, prefix: isPrefix },
    verbs: verbs.map((verb) => 1 + VERBS.indexOf(verb)),
  };
}
