/** Access rules as every node sees them: who may do what to which topics and groups. */

export const VERBS = ['produce', 'fetch', 'commit', 'txn', 'admin'] as const;
export type Verb = (typeof VERBS)[number];

export const RESOURCE_KINDS = ['topic', 'group', 'cluster'] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** What a rule may allow. */
export const VERBS_ON: Readonly<Record<ResourceKind, readonly Verb[]>> = {
  topic: ['produce', 'fetch', 'admin'],
  group: ['fetch', 'commit', 'txn', 'admin'],
  cluster: ['admin'],
};

/** As principal of a rule: whoever has proved who it is. */
export const EVERYBODY = '*';

/** No token may be valid for longer, so a revocation need not be remembered for longer. */
export const MAX_TOKEN_LIFETIME_MS = 90 * 86_400_000;

/** Allows; what no rule allows is forbidden. */
export interface AccessRule {
  readonly principal: string;
  readonly kind: ResourceKind;
  /** Of one, or what the names begin with ('' = all); '' for the cluster. */
  readonly name: string;
  readonly isPrefix: boolean;
  /** In the order of `VERBS`. */
  readonly verbs: readonly Verb[];
}

export interface AccessView {
  /** Raised by every change of rules or revocations; of this replica's life alone. */
  readonly version: number;
  /** After the one of that name ('' = from the first), in one order on every node. */
  after(name: string, limit: number): readonly AccessRule[];
  /** Of the principal alone, without those of everybody. */
  of(principal: string): Iterable<AccessRule>;
  isRevoked(principal: string, tokenId: string, issuedAtMs: number): boolean;
}

/** Of a rule among all. Neither kinds nor principals have a slash in them. */
export function ruleName({ isPrefix, kind, name, principal }: Omit<AccessRule, 'verbs'>): string {
  return `${kind}/${isPrefix ? 'prefix' : 'exact'}/${principal}/${name}`;
}

/** Each once, in the order of `VERBS`: the same bytes on every replica. */
export function orderedVerbs(verbs: readonly unknown[]): Verb[] {
  return VERBS.filter((verb) => verbs.includes(verb));
}
