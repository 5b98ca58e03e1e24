/** What one principal may do, put together from its rules and those of everybody. */
import {
  type AccessRule,
  type AccessView,
  EVERYBODY,
  type ResourceKind,
  VERBS,
  type Verb,
} from '../cluster/access-api.ts';

/** A set of verbs: one bit each. */
export type Verbs = number;

/** Names of which it is remembered what may be done to them. */
const MAX_REMEMBERED = 10_000;

export function verbs(...list: readonly Verb[]): Verbs {
  return list.reduce((bits, verb) => bits | (1 << VERBS.indexOf(verb)), 0);
}

export function verbNames(bits: Verbs): readonly Verb[] {
  return VERBS.filter((_verb, at) => (bits & (1 << at)) !== 0);
}

const ALL: Verbs = verbs(...VERBS);

export class Access {
  readonly #rules: readonly AccessRule[];
  readonly #isAdmin: boolean;
  readonly #known: Record<ResourceKind, Map<string, Verbs>>;

  constructor(rules: AccessView, principal: string, isAdmin: boolean) {
    this.#isAdmin = isAdmin;
    this.#rules = isAdmin ? [] : [...rules.of(principal), ...rules.of(EVERYBODY)];
    this.#known = { topic: new Map(), group: new Map(), cluster: new Map() };
  }

  /** Deterministic, and the same whether or not there is such a topic or group. */
  verbsOn(kind: ResourceKind, name: string): Verbs {
    if (this.#isAdmin) return ALL;
    const known = this.#known[kind].get(name);
    if (known !== undefined) return known;
    let found = 0;
    for (const rule of this.#rules) {
      if (rule.kind === kind && covers(rule, name)) found |= verbs(...rule.verbs);
    }
    if (this.#known[kind].size >= MAX_REMEMBERED) this.#known[kind].clear();
    this.#known[kind].set(name, found);
    return found;
  }
}

function covers(rule: AccessRule, name: string): boolean {
  return rule.isPrefix ? name.startsWith(rule.name) : rule.name === name;
}
