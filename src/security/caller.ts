/** Who makes one call, or has opened one stream, and what that one may do. */
import { CallError } from '../status.ts';
import { type Access, verbNames } from './access.ts';
import type { Allowance } from './allowance.ts';
import type { Demand } from './permissions.ts';
import type { Principal } from './principal.ts';

/** What callers share: rules and revocations as they are now. */
export interface CallerParts {
  accessOf(principal: Principal): Access;
  /** undefined: nothing bounds it. */
  allowanceOf(principal: Principal): Allowance | undefined;
  /** Whether every build of the cluster can read whose something is. */
  readonly namesOwners: boolean;
  /** Why the principal is not taken any more; undefined = it is. */
  refusal(principal: Principal): CallError | undefined;
  denied(caller: Caller, error: CallError): void;
  changes(caller: Caller): void;
}

interface Held {
  readonly demand: Demand;
  readonly name: string;
}

const SHOWN_CHARACTERS = 127;

export class Caller {
  readonly principal: Principal;
  /** The gRPC path that was called. */
  readonly path: string;
  /** Where from: address and port. */
  readonly source: string;
  /** What its quota leaves to it on this node; undefined: nothing bounds it. */
  readonly allowance: Allowance | undefined;
  readonly #parts: CallerParts;
  /** Must hold for as long as the call or stream lasts. */
  #held: Held[] | undefined;

  constructor(parts: CallerParts, principal: Principal, path: string, source: string) {
    this.#parts = parts;
    this.principal = principal;
    this.path = path;
    this.source = source;
    this.allowance = parts.allowanceOf(principal);
  }

  /** As commands and frames name whose they are; '' = they cannot. */
  get owner(): string {
    return this.#parts.namesOwners ? this.principal.name : '';
  }

  /** What it may do, and does now, changes the cluster for others. */
  changes(): void {
    this.#parts.changes(this);
  }

  may({ kind, verbs }: Demand, name: string): boolean {
    return (this.#parts.accessOf(this.principal).verbsOn(kind, name) & verbs) !== 0;
  }

  /** Throws PERMISSION_DENIED. */
  check(demand: Demand, name: string): void {
    if (this.may(demand, name)) return;
    const error = denial(this.principal.name, demand, name);
    this.#parts.denied(this, error);
    throw error;
  }

  /** As `check`, and looked at again by `refusal`. */
  hold(demand: Demand, name: string): void {
    this.check(demand, name);
    this.#held ??= [];
    this.#held.push({ demand, name });
  }

  /** Why this call or stream may not go on; undefined = it may. */
  refusal(): CallError | undefined {
    const refused = this.#parts.refusal(this.principal);
    if (refused !== undefined) return refused;
    const lost = this.#held?.find(({ demand, name }) => !this.may(demand, name));
    return lost && denial(this.principal.name, lost.demand, lost.name);
  }
}

/** The same whether or not there is such a topic or group. */
function denial(principal: string, { kind, verbs }: Demand, name: string): CallError {
  const wanted = verbNames(verbs);
  const what = kind === 'cluster' ? 'the cluster' : `${kind} ${JSON.stringify(shown(name))}`;
  const flag = kind === 'cluster' ? '--cluster' : `--${kind} NAME`;
  return new CallError(
    'PERMISSION_DENIED',
    `${JSON.stringify(principal)} needs ${wanted.join(' or ')} on ${what}, which no access rule ` +
      `gives it: holdfast acl grant ${principal} ${wanted[0]} ${flag}`,
  );
}

function shown(name: string): string {
  return name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name;
}
