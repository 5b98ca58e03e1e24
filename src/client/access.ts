import type { Calls } from './calls.ts';
import { list } from './convert.ts';
import type { Proto, WireObject } from './proto.ts';
import { ServiceCalls } from './service-calls.ts';
import type { CallOptions } from './types.ts';

export type AccessKind = 'topic' | 'group' | 'cluster';
export type AccessVerb = 'produce' | 'fetch' | 'commit' | 'txn' | 'admin';

/** Lets a principal do something; what no rule allows is refused. */
export interface AccessRule {
  /** `*`: everybody who is known. */
  readonly principal: string;
  readonly kind: AccessKind;
  /** Empty for the cluster. */
  readonly name: string;
  /** All whose names begin with `name`; with an empty name: all. */
  readonly prefix: boolean;
  readonly verbs: readonly AccessVerb[];
}

/** Whose tokens are refused from now on: those of a principal until a time, or a single one. */
export type RevokedTokens =
  | { readonly principal: string; readonly issuedUntil?: Date | undefined }
  | { readonly tokenId: string };

/** Who may do what: for those who manage the cluster. */
export class Access {
  readonly #service: ServiceCalls;

  constructor(calls: Calls, proto: Proto) {
    this.#service = new ServiceCalls(calls, proto, 'Admin');
  }

  /** Adds the verbs to those that the principal has there. */
  async grant(rule: AccessRule, options?: CallOptions): Promise<void> {
    await this.#service.call('GrantAccess', { rule: ruleOut(rule) }, 'idempotent', options);
  }

  /** Takes the verbs away; open streams end that needed them. */
  async revoke(rule: AccessRule, options?: CallOptions): Promise<void> {
    await this.#service.call('RevokeAccess', { rule: ruleOut(rule) }, 'idempotent', options);
  }

  async list(options?: CallOptions): Promise<AccessRule[]> {
    const rules: AccessRule[] = [];
    for await (const page of this.#service.pages('ListAccess', {}, options)) {
      rules.push(...list(page.rules).map(ruleIn));
    }
    return rules;
  }

  async revokeTokens(which: RevokedTokens, options?: CallOptions): Promise<void> {
    const request = 'tokenId' in which ? { token_id: which.tokenId } : principalOut(which);
    await this.#service.call('RevokeTokens', request, 'idempotent', options);
  }
}

function principalOut({
  issuedUntil,
  principal,
}: Extract<RevokedTokens, { principal: string }>): WireObject {
  if (issuedUntil === undefined) return { principal };
  return { principal, issued_until_ms: String(issuedUntil.getTime()) };
}

function ruleOut({ kind, name, prefix, principal, verbs }: AccessRule): WireObject {
  const upper = verbs.map((verb) => verb.toUpperCase());
  return { principal, kind: kind.toUpperCase(), name, prefix, verbs: upper };
}

function ruleIn({ kind, name, prefix, principal, verbs }: WireObject): AccessRule {
  return {
    principal: String(principal),
    kind: String(kind).toLowerCase() as AccessKind,
    name: String(name),
    prefix: prefix === true,
    verbs: (verbs as readonly string[]).map((verb) => verb.toLowerCase() as AccessVerb),
  };
}
